"""The engine's own thread: many asyncio callers, from several event loops, none of them forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from adaptrix_core.engine import Engine, EngineLoop, TokenEvent
from adaptrix_core.engine.mailbox import Mailbox
from adaptrix_core.errors import AdapterNotFound, ContextLengthExceeded, EngineStopped, InvalidRequest
from tests.engine.conftest import MakeEngine, idle_faults
from tests.engine.driving import request
from tests.engine.loop.test_failures import break_in_host_memory, break_on_device
from tests.tiny_models import random_base, random_prompts

PROMPTS = random_prompts([3, 9, 5, 14])
ENDLESS = 4000
DEADLINE_S = 120


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    base = random_base(max_position_embeddings=ENDLESS + 100)
    return make_engine(base=base, kv_cache_tokens=8 * ENDLESS, block_size=16)


@pytest.fixture
def loop(engine: Engine) -> Iterator[EngineLoop]:
    running = EngineLoop(engine)
    running.start()
    yield running
    running.stop()
    assert not running._thread.is_alive()
    assert not engine.has_work


async def read(loop: EngineLoop, *args: object, **params: object) -> list[TokenEvent]:
    return [event async for event in loop.generate(request(*args, **params))]  # type: ignore[arg-type]


async def rows_of(loop: EngineLoop) -> dict[str, int]:
    return await loop.call(lambda engine: engine.stats()["rows"])


def tokens(events: list[TokenEvent]) -> list[int | None]:
    return [event.token_id for event in events]


def assert_whole(events: list[TokenEvent], count: int, start: int) -> None:
    """All tokens, in order, and one end."""
    assert [event.position for event in events] == list(range(start, start + count))
    assert [event.finish_reason for event in events] == [None] * (count - 1) + ["length"]


async def test_a_caller_reads_what_the_engine_generates(engine: Engine, loop: EngineLoop) -> None:
    params = request("x", PROMPTS[0]).params
    [expected] = await loop.call(lambda engine: engine.generate([PROMPTS[0]], "red", params))
    red = await loop.call(Engine.resolve_mix, "red")
    events = await read(loop, "r", PROMPTS[0], red)
    assert_whole(events, 8, len(PROMPTS[0]))
    assert tokens(events) == list(expected.token_ids)


async def test_200_callers_at_once_lose_no_event(loop: EngineLoop) -> None:
    red = await loop.call(Engine.resolve_mix, "red")
    mixes = [(), red]
    results = await asyncio.wait_for(
        asyncio.gather(*(read(loop, f"r{i}", PROMPTS[i % 4], mixes[i % 2], max_tokens=1 + i % 3) for i in range(200))),
        DEADLINE_S,
    )
    for number, events in enumerate(results):
        assert_whole(events, 1 + number % 3, len(PROMPTS[number % 4]))
    # Greedy: equal requests had equal answers.
    assert len({(i % 12, tuple(tokens(events))) for i, events in enumerate(results)}) == 12
    assert await loop.call(idle_faults) == []


def test_two_event_loops_share_the_engine(loop: EngineLoop) -> None:
    results: dict[str, list[list[TokenEvent]]] = {}

    async def client(name: str) -> list[list[TokenEvent]]:
        return await asyncio.gather(*(read(loop, f"{name}-{i}", PROMPTS[i % 4], max_tokens=6) for i in range(12)))

    threads = [
        threading.Thread(target=lambda name=name: results.update({name: asyncio.run(client(name))})) for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert [tokens(events) for events in results["a"]] == [tokens(events) for events in results["b"]]
    for number, events in enumerate(results["a"]):
        assert_whole(events, 6, len(PROMPTS[number % 4]))


async def test_all_rows_of_a_group_are_read_to_their_end(loop: EngineLoop) -> None:
    red = await loop.call(Engine.resolve_mix, "red")
    events = await read(loop, "group", PROMPTS[0], (), red, n=2, seed=1, temperature=1.0)
    for index in range(4):
        assert_whole([event for event in events if event.index == index], 8, len(PROMPTS[0]))


# --- callers that leave ----------------------------------------------------------------------------------------------


async def test_a_caller_that_stops_reading_aborts_its_request_and_no_other(loop: EngineLoop) -> None:
    other = asyncio.create_task(read(loop, "other", PROMPTS[1], max_tokens=40))
    stream = loop.generate(request("left", PROMPTS[0], max_tokens=ENDLESS))
    assert (await anext(stream)).position == len(PROMPTS[0])
    await stream.aclose()
    assert await loop.call(lambda engine: "left" in {row.request.request_id for row in engine.scheduler.rows}) is False
    assert_whole(await other, 40, len(PROMPTS[1]))
    assert await loop.call(idle_faults) == []


async def test_a_cancelled_caller_aborts_its_request(loop: EngineLoop) -> None:
    started = asyncio.Event()

    async def client() -> None:
        async for _ in loop.generate(request("cancelled", PROMPTS[0], max_tokens=ENDLESS)):
            started.set()

    task = asyncio.create_task(client())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert await rows_of(loop) == {"running": 0, "waiting": 0}


class Gate:
    """Holds the engine thread between two steps until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, engine: Engine) -> None:
        self.reached.set()
        assert self.opened.wait(DEADLINE_S)


async def test_a_caller_that_is_cancelled_before_its_request_got_in_leaves_nothing(loop: EngineLoop) -> None:
    gate = Gate()
    held = asyncio.create_task(loop.call(gate))
    await asyncio.to_thread(gate.reached.wait)
    task = asyncio.create_task(read(loop, "never", PROMPTS[0], max_tokens=ENDLESS))
    call = asyncio.create_task(loop.call(lambda engine: None))
    await asyncio.sleep(0)  # both are queued behind the gate now
    task.cancel()
    call.cancel()
    gate.opened.set()
    await asyncio.wait([task, call, held])
    assert task.cancelled()
    assert call.cancelled()
    assert await rows_of(loop) == {"running": 0, "waiting": 0}
    assert_whole(await read(loop, "next", PROMPTS[0]), 8, len(PROMPTS[0]))


async def test_a_caller_that_is_cancelled_while_its_request_gets_in_leaves_nothing(loop: EngineLoop) -> None:
    first, second = Gate(), Gate()
    tasks = [asyncio.create_task(loop.call(first))]
    await asyncio.to_thread(first.reached.wait)
    task = asyncio.create_task(read(loop, "late", PROMPTS[0], max_tokens=ENDLESS))
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(loop.call(second)))
    await asyncio.sleep(0)
    first.opened.set()
    second.reached.wait(DEADLINE_S)  # holding this event loop too: the request is in, its caller does not know yet
    assert loop.engine.has_work
    task.cancel()
    second.opened.set()
    await asyncio.wait([task, *tasks])
    assert task.cancelled()
    assert await rows_of(loop) == {"running": 0, "waiting": 0}


async def test_a_refused_duplicate_leaves_the_request_of_that_id_running(loop: EngineLoop) -> None:
    stream = loop.generate(request("same", PROMPTS[0], max_tokens=30))
    events = [await anext(stream)]
    with pytest.raises(InvalidRequest, match="'same' is in use"):
        await read(loop, "same", PROMPTS[1])
    events += [event async for event in stream]
    assert_whole(events, 30, len(PROMPTS[0]))


async def test_abort_ends_a_stream_with_an_abort_event(loop: EngineLoop) -> None:
    stream = loop.generate(request("r", PROMPTS[0], max_tokens=ENDLESS))
    await anext(stream)
    loop.abort("r")
    loop.abort("unknown")
    events = [event async for event in stream]
    assert [event.finish_reason for event in events] == [None] * (len(events) - 1) + ["abort"]


# --- errors ----------------------------------------------------------------------------------------------------------


async def test_what_a_called_function_raises_reaches_its_caller_only(loop: EngineLoop) -> None:
    other = asyncio.create_task(read(loop, "other", PROMPTS[1]))
    with pytest.raises(ZeroDivisionError):
        await loop.call(lambda engine: 1 // 0)
    with pytest.raises(AdapterNotFound, match="green"):
        await loop.call(Engine.resolve_mix, "green")
    assert_whole(await other, 8, len(PROMPTS[1]))


async def test_a_refused_request_raises_before_its_first_event(loop: EngineLoop) -> None:
    with pytest.raises(ContextLengthExceeded):
        await read(loop, "r", PROMPTS[0], max_tokens=10**6)
    assert await rows_of(loop) == {"running": 0, "waiting": 0}


async def test_functions_run_on_the_engine_thread(loop: EngineLoop) -> None:
    assert await loop.call(lambda engine: threading.current_thread().name) == "adaptrix-engine"


async def test_a_failing_step_ends_its_rows_with_an_error_and_the_next_request_is_served(loop: EngineLoop) -> None:
    red = await loop.call(Engine.resolve_mix, "red")
    await loop.call(break_on_device, "red")
    events = await read(loop, "broken", PROMPTS[0], red)
    assert events[-1].finish_reason == "error"
    assert "shape" in str(events[-1].error)
    assert_whole(await read(loop, "next", PROMPTS[0]), 8, len(PROMPTS[0]))


async def test_a_row_that_cannot_begin_ends_with_an_error_and_the_next_request_is_served(loop: EngineLoop) -> None:
    red = await loop.call(Engine.resolve_mix, "red")
    await loop.call(break_in_host_memory, "red")
    [event] = await read(loop, "broken", PROMPTS[0], red)
    assert event.finish_reason == "error"
    assert_whole(await read(loop, "next", PROMPTS[0]), 8, len(PROMPTS[0]))


# --- when events come out ---------------------------------------------------------------------------------------------


async def test_events_come_out_while_the_next_step_is_computed_and_first_and_last_ones_at_once(engine: Engine) -> None:
    loop = EngineLoop(engine)  # driven by hand, without its thread
    mailbox = Mailbox()
    compute, there = engine.runner.spans.run, []

    def computing(chunks: Any, spans: Any, meanwhile: Callable[[], None], attention: Any) -> Any:
        def observed() -> None:
            before = len(loop._undelivered)
            meanwhile()
            there.append((before, len(loop._undelivered)))

        return compute(chunks, spans, observed, attention)

    engine.runner.spans.run = computing  # type: ignore[method-assign]
    loop._add(engine, request("r", PROMPTS[0], max_tokens=4), mailbox)
    for _ in range(4):
        loop._step()
    assert there == [(0, 0), (0, 0), (1, 0), (1, 0)]
    assert not loop._undelivered
    await asyncio.sleep(0)
    assert_whole(await mailbox.take(), 4, len(PROMPTS[0]))


async def test_the_last_events_of_an_ended_request_do_not_reach_the_next_one_of_its_id(engine: Engine) -> None:
    loop = EngineLoop(engine)
    first, second = Mailbox(), Mailbox()
    loop._add(engine, request("other", PROMPTS[1], max_tokens=ENDLESS), Mailbox())
    loop._add(engine, request("r", PROMPTS[0], max_tokens=1), first)
    loop._step()
    loop._commands.put((loop._add, (request("r", PROMPTS[0], max_tokens=1), second), Future()))
    assert loop._execute_commands()
    loop._step()
    loop._deliver(engine.abort("other"))
    await asyncio.sleep(0)
    for mailbox in (first, second):
        assert_whole(await mailbox.take(), 1, len(PROMPTS[0]))


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_stop_ends_every_request_with_an_abort_event(loop: EngineLoop) -> None:
    streams = [loop.generate(request(f"r{i}", PROMPTS[i], n=2, max_tokens=ENDLESS)) for i in range(3)]
    for stream in streams:
        await anext(stream)
    await asyncio.to_thread(loop.stop)
    for stream in streams:
        rest = await asyncio.wait_for(_collect(stream), DEADLINE_S)
        ends = [(event.index, event.finish_reason) for event in rest if event.finish_reason]
        assert sorted(ends) == [(0, "abort"), (1, "abort")]


async def _collect(stream) -> list[TokenEvent]:  # type: ignore[no-untyped-def]
    return [event async for event in stream]


async def test_a_stopped_engine_refuses_and_says_so(loop: EngineLoop) -> None:
    await asyncio.to_thread(loop.stop)
    loop.stop()
    assert not loop.is_alive
    with pytest.raises(EngineStopped, match="has stopped"):
        await read(loop, "r", PROMPTS[0])
    with pytest.raises(EngineStopped):
        await rows_of(loop)
    loop.abort("r")


async def test_calls_that_wait_when_the_engine_stops_are_refused_or_done(loop: EngineLoop) -> None:
    gate = Gate()
    held = asyncio.create_task(loop.call(gate))
    await asyncio.to_thread(gate.reached.wait)
    waiting = [asyncio.create_task(rows_of(loop)) for _ in range(3)]
    await asyncio.sleep(0)
    stopping = asyncio.create_task(asyncio.to_thread(loop.stop))
    gate.opened.set()
    done, pending = await asyncio.wait([held, stopping, *waiting], timeout=DEADLINE_S)
    assert not pending
    assert all(task.exception() is None or isinstance(task.exception(), EngineStopped) for task in done)
