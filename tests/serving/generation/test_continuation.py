"""Replicas are lost in mid-stream: the client gets what it would have got, once, in order, and no error."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.config import load_settings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.observe.tracing import start_tracing
from deployments.generation import continue_elsewhere
from deployments.generation.ports import Batches, Replicas
from deployments.replica.worker import EngineWorker
from deployments.shared.wire import GenerateCall
from tests.serving.conftest import BASE_ID
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

ASK = [{"role": "user", "content": "What is 17 + 25?"}]
LONG = 200
"""Tokens that are not all computed before a publication ends."""
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}},
    "required": ["name"],
    "additionalProperties": False,
}


class Failing:
    """Workers of which one serves at a time, until it is stopped in the midst of what it does."""

    def __init__(self, workers: list[EngineWorker], after: int) -> None:
        """after: how many tokens of a call's first row pass before its worker is stopped; the last worker never is."""
        self.workers = workers
        self.calls: list[GenerateCall] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        """What else happens between the loss of a worker and the moment when it is noticed."""
        self._after = after

    async def generate(self, call: GenerateCall) -> Batches:
        self.calls.append(call)
        worker, passed = self.workers[0], 0
        goes_on = "." in call.request_id  # one loss per call is enough
        if self._after == 0 and not goes_on:
            await self._stop(worker)
        async with aclosing(worker.generate(call)) as batches:
            async for pieces in batches:
                yield pieces
                passed += sum(piece.row == 0 for piece in pieces)
                if passed >= self._after and not goes_on:
                    await self._stop(worker)

    async def _stop(self, worker: EngineWorker) -> None:
        if worker in self.workers[:-1]:
            self.workers.remove(worker)
            # First: while anything else takes its time, the answer would be finished.
            await asyncio.to_thread(worker.stop)
            if self.meanwhile is not None:
                await self.meanwhile()


@asynccontextmanager
async def server(
    world: World, tmp_path: Path, after: int, spares: int = 1
) -> AsyncIterator[tuple[httpx.AsyncClient, LocalStore, Failing]]:
    """A server whose worker is stopped ``after`` tokens of a request, up to ``spares`` times."""
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    settings = load_settings(args)
    made: list[Failing] = []

    def replicas_of(store: LocalStore) -> Replicas:
        tracing = start_tracing(settings.observe, "all", "spare")

        async def fetch(bundle: BundleDigest, name: str) -> Snapshot:
            return Snapshot(name, (await store.actor.read_package(bundle)).files)

        others = [EngineWorker(settings, fetch, tracing) for _ in range(spares)]
        made.append(Failing([*others, store.worker], after))
        return made[0]

    async with running(args, replicas_of=replicas_of) as (http, store):
        workers = list(made[0].workers)
        for worker in workers[:-1]:
            worker.lease.confirm(None, worker.lease.now())
            await worker.holdings.sync(store.catalogue)
        try:
            yield http, store, made[0]
        finally:
            for worker in workers[:-1]:
                await asyncio.to_thread(worker.stop)


async def streamed(http: httpx.AsyncClient, **fields: Any) -> list[Any]:
    """What a streamed answer says of each choice, and at its end; how it was cut into events is a matter of pace."""
    body = {"messages": ASK, "max_tokens": 24, "temperature": 0, "stream": True, "ignore_eos": True, **fields}
    answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    *lines, done = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert done == "[DONE]"
    choices: dict[int, list[Any]] = {}
    others = []
    for document in map(json.loads, lines):
        for choice in document["choices"]:
            said = choices.setdefault(choice["index"], [[], "", [], []])
            around = {key: value for key, value in document.items() if key not in ("id", "created", "choices")}
            besides = {**around, **{k: v for k, v in choice.items() if k not in ("delta", "finish_reason")}}
            if besides not in said[3]:
                said[3].append(besides)
            said[0].append(choice["delta"].get("role"))
            said[1] += choice["delta"].get("content") or ""
            said[2].append(choice["finish_reason"])
        if not document["choices"]:
            others.append({key: value for key, value in document.items() if key not in ("id", "created")})
    for said in choices.values():
        said[0], said[2] = [[what for what in whats if what] for whats in (said[0], said[2])]
    return [*sorted(choices.items()), *others]


REQUESTS: dict[str, dict[str, Any]] = {
    "greedy": {"model": "math_reasoning"},
    "sampled": {"model": "math_reasoning", "temperature": 1.1, "seed": 5, "top_p": 0.9},
    "choices": {"model": "math_reasoning", "n": 3, "temperature": 1.0, "seed": 6},
    "fork": {"model": BASE_ID, "adaptrix": {"fork": ["math_reasoning", None, "code_generation"]}},
    "usage": {"model": BASE_ID, "stream_options": {"include_usage": True}},
    "json": {
        "model": BASE_ID,
        "temperature": 1.0,
        "seed": 3,
        "max_tokens": 60,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA, "strict": True}},
    },
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continue_elsewhere, "LONGEST_PAUSE_S", 0.0)


@pytest.fixture(autouse=True)
def a_message_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a replica can be lost after any of its tokens."""
    for name in ("SHORTEST_S", "LONGEST_S", "UNREAD_S"):
        monkeypatch.setattr(f"deployments.replica.token_pacing.{name}", 1e-9)


@pytest.mark.parametrize("after", [0, 1, 9])
async def test_a_stream_whose_replica_stops_is_that_of_an_undisturbed_one(
    world: World, tmp_path: Path, after: int
) -> None:
    async with server(world, tmp_path, after=10**9, spares=0) as (http, _, _):
        undisturbed = {name: await streamed(http, **fields) for name, fields in REQUESTS.items()}
    async with server(world, tmp_path / "failing", after, len(REQUESTS)) as (http, _, failing):
        for name, fields in REQUESTS.items():
            assert await streamed(http, **fields) == undisturbed[name]
        assert len(failing.workers) == 1
        continued = [call for call in failing.calls if call.resume]
        assert len(failing.calls) == 2 * len(REQUESTS)
        assert len(continued) == (len(REQUESTS) if after else 0)
        assert f"adaptrix_continuations_total {len(REQUESTS)}.0" in (await http.get("/metrics")).text


async def test_an_answer_that_is_not_streamed_survives_too(world: World, tmp_path: Path) -> None:
    body = {
        "model": "math_reasoning",
        "prompt": ["a b", "c d"],
        "max_tokens": 24,
        "temperature": 0,
        "logprobs": 1,
        "ignore_eos": True,
    }
    async with server(world, tmp_path, after=10**9, spares=0) as (http, _, _):
        whole = (await http.post("/v1/completions", json=body)).json()
    async with server(world, tmp_path / "failing", after=4, spares=2) as (http, _, failing):
        answer = (await http.post("/v1/completions", json=body)).json()
        assert len(failing.calls) > 2
    assert [choice["text"] for choice in answer["choices"]] == [choice["text"] for choice in whole["choices"]]
    assert [c["logprobs"]["tokens"] for c in answer["choices"]] == [c["logprobs"]["tokens"] for c in whole["choices"]]
    assert answer["usage"] == whole["usage"]


async def test_latest_that_moves_in_between_changes_nothing(world: World, tmp_path: Path) -> None:
    def packed(version: str, seed: int) -> bytes:
        directory = world.write_adapter(tmp_path / version, "moving", seed, version=version)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(directory, arcname=directory.name)
        return buffer.getvalue()

    old, new = packed("1.0.0", 61), packed("2.0.0", 62)
    async with server(world, tmp_path, after=10**9, spares=0) as (http, _, _):
        assert (await http.post("/v1/adapters", content=old)).status_code == 201
        undisturbed = await streamed(http, model="moving@latest", max_tokens=LONG)
    async with server(world, tmp_path / "failing", after=6) as (http, store, failing):
        assert (await http.post("/v1/adapters", content=old)).status_code == 201
        await failing.workers[0].holdings.sync(await store.refresh())

        async def publish() -> None:
            assert (await http.post("/v1/adapters", content=new)).status_code == 201

        failing.meanwhile = publish
        assert await streamed(http, model="moving@latest", max_tokens=LONG) == undisturbed
        assert len(failing.calls) == 2
        assert await streamed(http, model="moving@latest", max_tokens=LONG) != undisturbed


async def test_the_prompt_is_what_the_first_replica_read(world: World, tmp_path: Path) -> None:
    """A chat template may tell the date: read again, a prompt would be another one after midnight."""
    async with server(world, tmp_path, after=10**9, spares=0) as (http, _, _):
        undisturbed = await streamed(http, model="math_reasoning")
    async with server(world, tmp_path / "failing", after=5) as (http, _, failing):
        failing.workers[1].tokenizer.chat_template = "a new day: {{ messages[0].content }}"
        assert await streamed(http, model="math_reasoning") == undisturbed
        assert await streamed(http, model="math_reasoning") != undisturbed
