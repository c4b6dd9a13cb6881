"""``x-request-timeout-seconds`` over HTTP: what is refused, what ends in time, and what a full replica means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adaptrix_core.config import load_settings
from adaptrix_core.errors import InvalidRequest, Overloaded, RequestTimeout
from adaptrix_core.observe.tracing import start_tracing
from adaptrix_core.request_limits import MOST
from deployments.generation import deadline
from deployments.generation.deadline import HEADER, MARGIN_S, MARGIN_SHARE, Deadline
from deployments.generation.pipeline import Pipeline
from deployments.replica.worker import EngineWorker
from deployments.shared.wire import GenerateCall, Piece
from tests.serving.conftest import BASE_ID, Local, eventually
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import CONTEXT, World

TEXT = "/v1/completions"
BODY = {"model": BASE_ID, "prompt": "one two three", "max_tokens": 2, "temperature": 0, "ignore_eos": True}
LONG = {**BODY, "max_tokens": CONTEXT - 60}


def post(http: httpx.AsyncClient, body: dict[str, Any], seconds: object) -> Any:
    return http.post(TEXT, json=body, headers={HEADER: str(seconds)})


async def holds_nothing(store: LocalStore) -> bool:
    stats = (await store.worker.report("r", "")).stats
    return (stats["rows_running"], stats["rows_waiting"], stats["kv_cache_usage"]) == (0, 0, 0)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", "", "86401", "1e999", "1" * 400])
async def test_a_bad_timeout_is_refused_by_name(local: Local, seconds: str) -> None:
    refused = await post(local.http, BODY, seconds)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["param"] == HEADER
    assert "86400" in error["message"]


@pytest.mark.asyncio(loop_scope="session")
async def test_an_answer_in_time_is_as_without_a_deadline(local: Local) -> None:
    with_deadline, without = await post(local.http, BODY, 3600), await local.http.post(TEXT, json=BODY)
    assert with_deadline.json()["choices"] == without.json()["choices"]


@pytest.mark.asyncio(loop_scope="session")
async def test_what_takes_too_long_ends_with_504_and_holds_nothing(local: Local) -> None:
    ended = await post(local.http, LONG, 0.5)
    assert ended.status_code == 504
    error = ended.json()["error"]
    assert (error["type"], error["code"]) == ("timeout_error", "deadline_exceeded")
    await eventually(lambda: holds_nothing(local.store))


@pytest.mark.asyncio(loop_scope="session")
async def test_a_stream_that_takes_too_long_ends_with_an_error_event(local: Local) -> None:
    ended = await post(local.http, {**LONG, "stream": True, "n": 2}, 1.0)
    assert ended.status_code == 200
    *texts, error, done = [line.removeprefix("data: ") for line in ended.text.splitlines() if line]
    assert done == "[DONE]"
    assert json.loads(error)["error"]["code"] == "deadline_exceeded"
    assert len(texts) > 2
    await eventually(lambda: holds_nothing(local.store))


def test_the_ingress_ends_a_little_before_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(deadline.time, "monotonic", lambda: now[0])
    longest = Deadline.from_headers({HEADER: str(MOST.timeout_s)})
    assert longest.remaining_s == MOST.timeout_s - MARGIN_S
    short, tiny = Deadline.from_headers({HEADER: "10"}), Deadline.from_headers({HEADER: "0.4"})
    assert short.remaining_s == 10 - MARGIN_S
    assert tiny.remaining_s == pytest.approx(0.4 * (1 - MARGIN_SHARE))
    now[0] += 9.0
    assert short.remaining_s == 1 - MARGIN_S
    now[0] += 1.0
    assert short.remaining_s == 1e-3, "never 0, which is no timeout for many"


async def test_without_the_header_nothing_ends() -> None:
    none = Deadline.from_headers({})
    assert none.remaining_s is None
    async with none.limit():
        pass


async def test_a_timeout_of_the_body_itself_is_not_taken_for_the_deadline() -> None:
    with pytest.raises(TimeoutError, match="inner"):
        async with Deadline(60.0).limit():
            raise TimeoutError("inner")


async def test_who_is_late_hears_which_header_allowed_how_much() -> None:
    with pytest.raises(RequestTimeout, match=rf"the 0\.02 s that its header {HEADER} allows") as late:
        async with Deadline(0.02).limit():
            await asyncio.sleep(60)
    assert late.value.code == "deadline_exceeded"


@pytest.mark.parametrize("text", ["0", "-1", "nan", "soon" * 50])
def test_a_refused_timeout_is_quoted_in_short(text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"header {HEADER} is '{text[:40]}'") as refused:
        Deadline.from_headers({HEADER: text})
    assert refused.value.param == HEADER


async def test_a_deadline_holds_while_waiting_and_one_out_of_reach_is_refused_at_once(
    world: World, tmp_path: Path
) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, engine={"max_rows": 1, "max_queue": 8}
    )
    async with running(args) as (http, store):
        first = asyncio.create_task(http.post(TEXT, json=LONG))

        async def is_measured() -> bool:
            return (await store.worker.report("r", "")).stats["steps"] > 20

        await eventually(is_measured)
        refused = await post(http, BODY, 0.2)  # `first` has thousands of tokens before it
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "deadline_unreachable"
        assert int(refused.headers["retry-after"]) >= 1
        first.cancel()
        await asyncio.wait([first])
        await eventually(lambda: holds_nothing(store))


class TwoReplicas:
    """Two real workers; a call goes to the first one unless that has refused it."""

    def __init__(self, workers: dict[str, EngineWorker]) -> None:
        self._workers = workers

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        name = next((name for name in self._workers if name not in call.refused_by), "a")
        try:
            async for pieces in self._workers[name].generate(call):
                yield pieces
        except Overloaded as error:
            error.replica_id = name
            raise


def call(name: str, rows: int, max_tokens: int) -> GenerateCall:
    sampling = {"n": rows, "max_tokens": max_tokens, "temperature": 0.0, "ignore_eos": True, "seed": 1}
    return GenerateCall(name, (5, 6, 7), ((),), sampling, b"")


async def pieces_of(pipeline: Pipeline, wanted: GenerateCall) -> list[Piece]:
    return [piece async for pieces in pipeline.open([wanted], Deadline(None)) for piece in pieces]


async def test_a_full_replica_is_no_refusal_while_another_one_has_room(world: World) -> None:
    settings = load_settings(world.settings(engine={"max_rows": 1, "max_queue": 1}))
    tracing = start_tracing(settings.observe, "replica", "test")

    async def nothing(_package: str) -> dict[str, bytes]:
        return {}

    workers = {name: EngineWorker(settings, nothing, tracing) for name in "ab"}
    pipeline = Pipeline(TwoReplicas(workers), lambda: None)

    async def load_of(name: str) -> tuple[float, float]:
        stats = (await workers[name].report(name, "")).stats
        return stats["rows_running"], stats["rows_waiting"]

    async def fill(name: str) -> list[asyncio.Task[list[Piece]]]:
        tasks = []
        for number, load in enumerate([(1, 0), (1, 1)]):
            tasks.append(asyncio.create_task(pieces_of(pipeline, call(f"{name}{number}", 1, CONTEXT - 60))))
            await eventually(lambda load=load: _equals(load_of(name), load))
        return tasks

    tasks = []
    try:
        tasks += await fill("a")
        answer = await pieces_of(pipeline, call("over", 1, 3))
        assert [piece.finish_reason for piece in answer] == [None, None, "length"]
        tasks += await fill("b")
        with pytest.raises(Overloaded):
            await pieces_of(pipeline, call("too much", 1, 3))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for worker in workers.values():
            worker.stop()


async def _equals(awaitable: Any, expected: object) -> bool:
    return bool(await awaitable == expected)
