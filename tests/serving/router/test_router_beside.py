"""`auto` where the replica asks the router while it computes: a late, a silent, a broken one, and a new catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.engine import Engine
from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.embedder import TextEmbedder
from deployments.generation.ports import Router
from deployments.replica import settlement
from deployments.shared.errors import NotReady
from deployments.shared.wire import GenerateCall, Piece, RouteAnswer
from tests.serving.inprocess import LocalStore
from tests.serving.replica.test_at_the_cut import QUESTIONS, Parts, chat, serving, text_of
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = "What is 12 + 30?"
ADAPTER = "math_reasoning"
CLEAR = {name: owner for name, owner in QUESTIONS.items() if owner != "base"}
"""What a base model of random weights, too, is clear about."""


class Beside:
    """The router as a replica sees it: as it is, late, or failing."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.failure: Exception | None = None
        self.is_needed = True
        self.changed: Callable[[RouteAnswer], RouteAnswer] = lambda answer: answer
        self.may_answer.set()

    async def route(
        self, messages: Sequence[dict[str, str]], salt: bytes = b"", explained: bool = False
    ) -> RouteAnswer:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        answer = await self._router.route(messages, salt, explained)
        await self.may_answer.wait()
        return self.changed(answer)

    async def has_to_be_asked(self) -> bool:
        return self.is_needed


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def parts(world: World, embedder: TextEmbedder, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    async with serving(world, tmp_path_factory.mktemp("state"), embedder) as made:
        yield made


@pytest.fixture
def beside(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beside]:
    """The replica's router, which may be waited for as long as a busy machine takes."""
    monkeypatch.setattr(settlement, "ROUTER_WAIT_S", 60.0)
    cut = parts[1].worker.at_the_cut
    router = cut._router
    assert router is not None
    standing_in = Beside(router)
    cut.asks(standing_in)
    yield standing_in
    cut.asks(router)


async def waiting(store: LocalStore) -> int:
    """Rows that wait at the cut."""
    stats = await store.worker._loop.call(Engine.stats)
    return int(stats["rows_waiting_adapter"])


@asynccontextmanager
async def waiting_at_the_cut(parts: Parts, beside: Beside) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """A request whose trunk is computed while the router has not answered; it does when the context is left."""
    beside.may_answer.clear()
    asking = asyncio.create_task(chat(parts[0], "auto", QUESTION))
    try:
        while not await waiting(parts[1]):
            assert not asking.done()
        yield asking
    finally:
        beside.may_answer.set()


async def test_only_the_replica_asks_the_router(parts: Parts, beside: Beside) -> None:
    http, _, watched = parts
    answer = await chat(http, "auto", QUESTION)
    deferral = watched.calls[-1].deferred
    assert deferral is not None
    assert deferral.said is None
    assert beside.asked == 1
    assert answer.headers["x-adaptrix-adapter"] == ADAPTER
    assert text_of(answer) == text_of(await chat(http, ADAPTER, QUESTION))
    assert beside.asked == 1


async def test_a_row_waits_at_the_cut_for_a_late_router(parts: Parts, beside: Beside) -> None:
    at_once = await chat(parts[0], "auto", QUESTION)
    async with waiting_at_the_cut(parts, beside) as asking:
        other = await chat(parts[0], ADAPTER, QUESTION)  # nobody else waits
        assert not asking.done()
    late = await asking
    assert late.headers["x-adaptrix-adapter"] == ADAPTER
    assert late.headers["x-adaptrix-route-score"] == at_once.headers["x-adaptrix-route-score"]
    assert text_of(late) == text_of(at_once) == text_of(other)


async def test_a_client_that_leaves_while_its_row_waits_leaves_nothing_behind(parts: Parts, beside: Beside) -> None:
    async with waiting_at_the_cut(parts, beside) as asking:
        asking.cancel()
        while await waiting(parts[1]):
            pass
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize("is_silent", [True, False])
async def test_without_the_router_the_trunk_decides_alone(
    parts: Parts, beside: Beside, monkeypatch: pytest.MonkeyPatch, is_silent: bool
) -> None:
    if is_silent:
        monkeypatch.setattr(settlement, "ROUTER_WAIT_S", 0.01)
        beside.may_answer.clear()
    else:
        beside.failure = NotReady("the router restarts")
    for question, adapter in QUESTIONS.items():
        answer = await chat(parts[0], "auto", question)
        assert answer.headers["x-adaptrix-adapter"] == adapter
        assert "x-adaptrix-fallback" not in answer.headers


async def test_where_neither_can_say_the_base_answers_or_nobody(
    parts: Parts, beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, store, _ = parts
    beside.failure = NotReady("the router restarts")
    monkeypatch.setattr(store.worker.at_the_cut, "_fitted", None)
    answer = await chat(http, "auto", QUESTION)
    assert answer.headers["x-adaptrix-adapter"] == "base"
    assert answer.headers["x-adaptrix-fallback"] == "router: not_ready: the router restarts"
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 2}
    refused = await http.post("/v1/chat/completions", json={**body, "adaptrix": {"fallback": "error"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")


async def explained(http: httpx.AsyncClient, *turns: str) -> Any:
    answer = await http.post("/v1/route", json={"messages": [{"role": "user", "content": turn} for turn in turns]})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def told_that_it_is_not_needed(parts: Parts, beside: Beside) -> None:
    """Returns once the replica knows that the router need not be asked of what is clear."""
    beside.is_needed = False
    standing = parts[1].worker.at_the_cut._standing
    assert standing is not None
    while standing.has_to_be_asked():
        await asyncio.sleep(0)


@pytest_asyncio.fixture(loop_scope="session")
async def trunk_first(parts: Parts, beside: Beside) -> Beside:
    """The replica's router, which it need not ask of what is clear."""
    await told_that_it_is_not_needed(parts, beside)
    return beside


@pytest.mark.parametrize("question", CLEAR)
async def test_what_is_clear_is_not_put_to_the_router(parts: Parts, trunk_first: Beside, question: str) -> None:
    http, store, _ = parts
    answer = await chat(http, "auto", question)
    assert trunk_first.asked == 0
    adapter = answer.headers["x-adaptrix-adapter"]
    assert adapter == CLEAR[question]
    alike = await chat(http, await store.base_id() if adapter == "base" else adapter, question)
    assert text_of(answer) == text_of(alike)
    trunk_first.failure = NotReady("the router restarts")
    assert (await chat(http, "auto", question)).headers["x-adaptrix-adapter"] == adapter


async def test_what_is_not_clear_is_put_to_it_at_the_cut(
    parts: Parts, trunk_first: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "clear_decision", lambda *given: None)
    async with waiting_at_the_cut(parts, trunk_first) as asking:
        assert trunk_first.asked == 1
    late = await asking
    assert late.headers["x-adaptrix-adapter"] == ADAPTER
    assert text_of(late) == text_of(await chat(parts[0], ADAPTER, QUESTION))


async def test_a_conversation_is_put_to_it(parts: Parts, trunk_first: Beside) -> None:
    answer = await chat(parts[0], "auto", QUESTION, "And if I add 6 more to that?")
    assert trunk_first.asked == 1
    assert answer.headers["x-adaptrix-adapter"] == ADAPTER


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("goes_first", [False, True])
async def test_an_explanation_is_of_the_decision_that_an_answer_has(
    parts: Parts, beside: Beside, question: str, goes_first: bool
) -> None:
    if goes_first:
        await told_that_it_is_not_needed(parts, beside)
    route, answer = await explained(parts[0], question), await chat(parts[0], "auto", question)
    assert route["adapter"] == answer.headers["x-adaptrix-adapter"] == QUESTIONS[question]
    assert f"{route['score']:.4f}" == answer.headers["x-adaptrix-route-score"]
    votes = {vote["signal"]: vote for vote in route["votes"]}
    is_clear = "no other signal counts" in route["reason"]
    assert is_clear == (goes_first and question in CLEAR)
    others = 0.0 if is_clear else 0.5
    weights = {"embedding": others, "tasks": others, "trunk": 1.0}
    assert {name: vote["weight"] for name, vote in votes.items()} == weights
    for vote in votes.values():
        assert vote["reason"]
        assert set(vote["log_odds"]) == set(route["scores"])
    assert route["touches"] == [name for name in (QUESTIONS[question],) if name != "base"]


async def test_an_explanation_says_why_the_trunk_is_silent(
    parts: Parts, beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, store, watched = parts
    monkeypatch.setattr(store.worker.at_the_cut, "_fitted", None)
    votes = {vote["signal"]: vote for vote in (await explained(http, QUESTION))["votes"]}
    assert votes["trunk"]["log_odds"] == {}
    assert "probes are not fitted" in votes["trunk"]["reason"]

    async def full(call: GenerateCall) -> AsyncIterator[list[Piece]]:
        raise NotReady("no replica is ready")
        yield []

    monkeypatch.setattr(watched, "generate", full)
    route = await explained(http, QUESTION)
    votes = {vote["signal"]: vote for vote in route["votes"]}
    assert route["adapter"] == ADAPTER
    assert votes["embedding"]["log_odds"]
    assert votes["trunk"]["log_odds"] == {}
    assert votes["trunk"]["reason"] == "no replica could be asked: not_ready: no replica is ready"


async def test_an_adapter_that_only_the_router_knows_gives_way_to_the_base(parts: Parts, beside: Beside) -> None:
    beside.changed = lambda answer: replace(answer, mix=(Term("newcomer"),), left_open=None)
    answer = await chat(parts[0], "auto", QUESTION)
    assert answer.headers["x-adaptrix-adapter"] == "base"
    assert answer.headers["x-adaptrix-fallback"] == "newcomer: not in the catalogue"


async def test_where_an_adapter_is_unloaded_in_mid_decision_the_new_catalogue_decides(
    parts: Parts, beside: Beside
) -> None:
    http, store, _ = parts
    async with waiting_at_the_cut(parts, beside) as asking:
        unloading = asyncio.create_task(store.unload_adapter(ADAPTER))  # ends when the request has let go of it
        while store.catalogue.public.find(ADAPTER) is not None:
            await asyncio.sleep(0)
    meanwhile = await asking
    await unloading
    after = await chat(http, "auto", QUESTION)
    assert meanwhile.headers["x-adaptrix-adapter"] == after.headers["x-adaptrix-adapter"] != ADAPTER
    assert text_of(meanwhile) == text_of(after)
