"""A row ends at its deadline, running or waiting, says so, and frees what it holds."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from adaptrix_core.engine import Engine, EngineLoop, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.scheduling.deadlines import KEPT, Deadlines
from adaptrix_core.errors import InvalidRequest
from tests.engine.conftest import MakeEngine, idle_faults
from tests.tiny_models import random_base

ENDLESS = 4000


def timed(name: str, timeout_s: float | None, max_tokens: int = ENDLESS, **params: object) -> GenerationRequest:
    sampling = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True, **params)  # type: ignore[arg-type]
    return GenerationRequest(name, (2, 3, 4), sampling, timeout_s=timeout_s)


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    base = random_base(max_position_embeddings=ENDLESS + 100)
    return make_engine(base=base, kv_cache_tokens=3 * ENDLESS, block_size=16, max_rows=1)


async def read(loop: EngineLoop, request: GenerationRequest) -> list[TokenEvent]:
    return [event async for event in loop.generate(request)]


async def test_running_and_waiting_rows_end_at_their_deadline_and_others_do_not(engine: Engine) -> None:
    loop = EngineLoop(engine)
    loop.start()
    try:
        running = asyncio.create_task(read(loop, timed("running", 1.0)))
        waiting = asyncio.create_task(read(loop, timed("waiting", 0.2, n=2)))
        patient = asyncio.create_task(read(loop, timed("patient", None, max_tokens=3)))
        for events, rows in ((await running, 1), (await waiting, 2)):
            ends = [event for event in events if event.finish_reason is not None]
            assert [event.finish_reason for event in ends] == ["deadline_exceeded"] * rows
            assert "deadline" in str(ends[0].error)
            assert ends[0].timings is not None
        assert [event.token_id is None for event in await waiting] == [True, True]
        assert [event.finish_reason for event in await patient] == [None, None, "length"]
        assert await loop.call(idle_faults) == []
    finally:
        loop.stop()


def test_a_row_that_ended_before_its_deadline_is_not_kept(engine: Engine) -> None:
    for number in range(3 * KEPT):
        engine.add(timed(str(number), 1e6, max_tokens=1))
        while engine.has_work:
            engine.step()
    assert len(engine._deadlines._heap) <= KEPT + 1
    assert engine.end_late() == []


def test_rows_without_a_deadline_are_not_watched(engine: Engine) -> None:
    deadlines = Deadlines()
    deadlines.add(engine.add(timed("x", None, max_tokens=1)))
    assert deadlines._heap == []
    engine.step()


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("nan")])
def test_a_timeout_must_be_above_zero(timeout_s: float) -> None:
    with pytest.raises(InvalidRequest, match="timeout_s"):
        timed("x", timeout_s)


def row(deadline: float | None, number: int) -> Any:
    return SimpleNamespace(deadline=deadline, number=number, finish_reason=None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_each_late_row_is_returned_once_the_nearest_deadline_first(clock: list[float]) -> None:
    deadlines = Deadlines()
    later, first, same, ended, never = (row(at, n) for n, at in enumerate((103.0, 101.0, 103.0, 102.0, None)))
    deadlines.add([later, first])
    deadlines.add([same, ended, never])
    assert deadlines.passed() == []
    ended.finish_reason = "stop"
    clock[0] = 103.0
    assert deadlines.passed() == [first, later, same]
    assert deadlines.passed() == []


def test_rows_that_end_in_time_are_dropped_whenever_their_number_has_trebled(clock: list[float]) -> None:
    deadlines = Deadlines()
    staying = [row(1000.0 - number, number) for number in range(KEPT)]
    deadlines.add(staying)
    kept = []
    for number in range(KEPT, 9 * KEPT):
        ended = row(999.5, number)
        deadlines.add([ended])
        ended.finish_reason = "stop"
        kept.append(len(deadlines._heap))
    assert kept[0] == KEPT + 1, "the first search finds the row that has just come"
    assert max(kept) == KEPT + 2 * (KEPT + 1)
    assert min(kept) == KEPT + 1
    clock[0] = 1000.0
    assert deadlines.passed() == staying[::-1]
