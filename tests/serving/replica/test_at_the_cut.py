"""`auto` settled at the cut: the replica's base model has a vote, and the answer is the one under the name it tells."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.config import load_settings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.observe.tracing import start_tracing
from adaptrix_core.routing.embedder import TextEmbedder
from deployments.generation import continue_elsewhere
from deployments.generation.ports import Batches, Replicas
from deployments.replica.worker import EngineWorker
from deployments.shared.entry import Refusal
from deployments.shared.wire import GenerateCall
from tests.serving.generation.test_continuation import Failing
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTIONS = {
    "What is 12 + 30?": "math_reasoning",
    "Write a Python function that multiplies two numbers.": "code_generation",
    "Tell me a bedtime story about a sleepy hedgehog.": "base",
}
ASK = {"max_tokens": 6, "temperature": 0, "ignore_eos": True}


class Watched:
    """The worker, with the calls that it got."""

    def __init__(self, worker: EngineWorker) -> None:
        self.worker = worker
        self.calls: list[GenerateCall] = []

    def generate(self, call: GenerateCall) -> Batches:
        self.calls.append(call)
        return self.worker.generate(call)


Parts = tuple[httpx.AsyncClient, LocalStore, Watched]


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAPTRIX_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@asynccontextmanager
async def serving(world: World, state: Path, embedder: TextEmbedder | None) -> AsyncIterator[Parts]:
    router = {"trunk": True} if embedder is not None else {"trunk": True, "embedder": None}
    args = world.settings(adapters={"state_dir": str(state)}, router=router, engine={"cut": 1})
    made: list[Watched] = []

    def replicas_of(store: LocalStore) -> Replicas:
        made.append(Watched(store.worker))
        return made[0]

    async with running(args, embedder, replicas_of=replicas_of) as (http, store):
        known = store.catalogue.public.find("math_reasoning")
        assert known is not None
        assert known.bundle_digest in await store.worker.at_the_cut.fitted()
        yield http, store, made[0]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def both(world: World, embedder: TextEmbedder, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    async with serving(world, tmp_path_factory.mktemp("state"), embedder) as parts:
        yield parts


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def trunk_alone(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    async with serving(world, tmp_path_factory.mktemp("state"), None) as parts:
        yield parts


async def chat(http: httpx.AsyncClient, model: str, *turns: str, **fields: Any) -> httpx.Response:
    messages = [{"role": "user", "content": turn} for turn in turns]
    answer = await http.post("/v1/chat/completions", json={**ASK, "model": model, "messages": messages, **fields})
    assert answer.status_code == 200, answer.text
    return answer


def text_of(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def named(adapter: str, base: str) -> str:
    return base if adapter == "base" else adapter


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_answer_is_that_of_the_adapter_which_its_head_names(both: Parts, question: str) -> None:
    await assert_named(both, question)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_without_an_embedder_the_trunk_settles_alone(trunk_alone: Parts, question: str) -> None:
    await assert_named(trunk_alone, question)


async def assert_named(parts: Parts, question: str) -> None:
    http, store, watched = parts
    answer = await chat(http, "auto", question)
    assert watched.calls[-1].deferred is not None
    adapter = answer.headers["x-adaptrix-adapter"]
    assert answer.json()["model"] == named(adapter, await store.base_id())
    assert float(answer.headers["x-adaptrix-route-score"]) >= 0
    assert "x-adaptrix-fallback" not in answer.headers
    alike = await chat(http, named(adapter, await store.base_id()), question)
    assert watched.calls[-1].deferred is None
    assert text_of(answer) == text_of(alike)
    assert answer.headers["x-adaptrix-digest"] == alike.headers["x-adaptrix-digest"]
    assert answer.json()["usage"]["prompt_tokens"] == alike.json()["usage"]["prompt_tokens"]


async def test_its_own_examples_are_an_adapters_by_the_trunk_alone(
    trunk_alone: Parts,
) -> None:
    http, store, _ = trunk_alone
    for entry in store.catalogue.public.newest():
        for example in entry.examples[:2]:
            assert (await chat(http, "auto", example)).headers["x-adaptrix-adapter"] == entry.name


async def test_a_stream_tells_it_before_its_first_word(both: Parts) -> None:
    http, *_ = both
    question = next(iter(QUESTIONS))
    whole = await chat(http, "auto", question)
    streamed = await chat(http, "auto", question, stream=True)
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    assert {event["model"] for event in events} == {whole.json()["model"]}
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events) == text_of(whole)
    assert streamed.headers["x-adaptrix-adapter"] == whole.headers["x-adaptrix-adapter"]


async def test_choices_of_one_prompt_are_settled_together(both: Parts) -> None:
    http, store, _ = both
    fields = {"n": 3, "temperature": 1.0, "seed": 3}
    answer = await chat(http, "auto", "What is 12 + 30?", **fields)
    alike = await chat(
        http, named(answer.headers["x-adaptrix-adapter"], await store.base_id()), "What is 12 + 30?", **fields
    )
    texts = [[choice["message"]["content"] for choice in one.json()["choices"]] for one in (answer, alike)]
    assert texts[0] == texts[1]


async def test_raw_text_and_token_ids_are_settled_too(both: Parts) -> None:
    http, store, watched = both
    ids = (await http.post("/tokenize", json={"prompt": "What is 12 + 30?"})).json()["tokens"]
    for prompt in ("What is 12 + 30?", ids):
        answer = await http.post("/v1/completions", json={**ASK, "model": "auto", "prompt": prompt})
        assert watched.calls[-1].deferred is not None
        name = named(answer.headers["x-adaptrix-adapter"], await store.base_id())
        alike = await http.post("/v1/completions", json={**ASK, "model": name, "prompt": prompt})
        assert answer.json()["choices"][0]["text"] == alike.json()["choices"][0]["text"]


async def test_several_prompts_are_the_routers(both: Parts) -> None:
    http, _, watched = both
    answer = await http.post("/v1/completions", json={**ASK, "model": "auto", "prompt": list(QUESTIONS)})
    assert answer.status_code == 200
    assert [call.deferred for call in watched.calls[-3:]] == [None] * 3


@pytest.mark.parametrize("question", ["?", "\ue0f0\ue0f10\ue0f1\ue0f0", "why? " * 600, "route me to code_generation"])
async def test_any_question_is_answered(both: Parts, question: str) -> None:
    http, *_ = both
    answer = await chat(http, "auto", question)
    assert answer.json()["choices"][0]["finish_reason"] == "length"


async def test_a_conversation_keeps_its_adapter(both: Parts) -> None:
    http, *_ = both
    first = (await chat(http, "auto", "What is 12 + 30?")).headers["x-adaptrix-adapter"]
    assert first == "math_reasoning"
    messages = [
        {"role": "user", "content": "What is 12 + 30?"},
        {"role": "assistant", "content": "42"},
        {"role": "user", "content": "And if I add 6 more to that?"},
    ]
    answer = await http.post("/v1/chat/completions", json={**ASK, "model": "auto", "messages": messages})
    assert answer.headers["x-adaptrix-adapter"] == first


@pytest.fixture
def bad_copy(both: Parts) -> Iterator[None]:
    """The replica refuses one adapter."""
    _, store, _ = both
    (bad,) = (e.bundle_digest for e in store.catalogue.public.newest() if e.name == "math_reasoning")
    store.worker.holdings._refused[bad] = Refusal("adapter_rejected", "this replica's copy is broken")
    yield
    store.worker.holdings._refused.pop(bad, None)  # syncing may have made another dictionary


async def test_an_adapter_that_was_chosen_and_cannot_be_used_gives_way_to_the_base(both: Parts, bad_copy: None) -> None:
    http, store, _ = both
    answer = await chat(http, "auto", "What is 12 + 30?")
    assert answer.headers["x-adaptrix-adapter"] == "base"
    assert "math_reasoning: adapter_rejected" in answer.headers["x-adaptrix-fallback"]
    assert text_of(answer) == text_of(await chat(http, await store.base_id(), "What is 12 + 30?"))
    other = await chat(http, "auto", "Write a Python function that multiplies two numbers.")
    assert other.headers["x-adaptrix-adapter"] == "code_generation"
    assert "x-adaptrix-fallback" not in other.headers


async def test_until_all_probes_are_fitted_the_router_decides(both: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    http, store, watched = both
    monkeypatch.setattr(store.worker.at_the_cut, "_fitted", None)
    for question, adapter in QUESTIONS.items():
        answer = await chat(http, "auto", question)
        assert watched.calls[-1].deferred is not None
        assert answer.headers["x-adaptrix-adapter"] == adapter


async def test_only_chosen_adapters_stay_pinned(both: Parts) -> None:
    http, store, _ = both
    question = "Write a Python function that multiplies two numbers."
    adapters = {entry["identity"]: entry for entry in (await usage(store)).values()}
    assert {entry["pins"] for entry in adapters.values()} == {0}
    body = {**ASK, "model": "auto", "messages": [{"role": "user", "content": question}], "max_tokens": 400}
    async with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
        await anext(answer.aiter_lines())
        pinned = {entry["identity"].split("@")[0] for entry in (await usage(store)).values() if entry["pins"]}
    assert pinned <= {answer.headers["x-adaptrix-adapter"]}


async def usage(store: LocalStore) -> Any:
    return (await store.worker._loop.call(lambda engine: engine.stats()))["adapters"]["adapters"]


@pytest.mark.parametrize("after", [0, 1])
async def test_a_lost_replica_changes_nothing(
    world: World, embedder: TextEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(continue_elsewhere, "FIRST_PAUSE_S", 1e-3)
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"trunk": True}, engine={"cut": 1})
    settings = load_settings(args)
    made: list[Failing] = []

    def replicas_of(store: LocalStore) -> Replicas:
        async def fetch(bundle: BundleDigest, name: str) -> Snapshot:
            return Snapshot(name, (await store.actor.read_package(bundle)).files)

        other = EngineWorker(settings, fetch, start_tracing(settings.observe, "all", "spare"))
        made.append(Failing([other, store.worker], after))
        return made[0]

    async with running(args, embedder, replicas_of=replicas_of) as (http, store):
        lost = made[0].workers[0]
        lost.lease.confirm(None, lost.lease.now())
        await lost.holdings.sync(store.catalogue)
        for worker in made[0].workers:
            worker.at_the_cut.follow(store.catalogue)
            await worker.at_the_cut.fitted()
        try:
            answer = await chat(http, "auto", "What is 12 + 30?", max_tokens=200)
            calls = made[0].calls
            assert len(calls) == 2
            assert (calls[1].deferred is None) == (after > 0)
            again = await chat(http, "auto", "What is 12 + 30?", max_tokens=200)
            assert answer.headers["x-adaptrix-adapter"] == again.headers["x-adaptrix-adapter"] == "math_reasoning"
            assert text_of(answer) == text_of(again)
        finally:
            await asyncio.to_thread(lost.stop)
