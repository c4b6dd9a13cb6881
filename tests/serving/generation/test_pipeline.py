"""The pipeline of a request's stream: several prompts, deadlines, counting, its one end, its few hops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adaptrix_core.errors import InvalidRequest, RequestTimeout
from deployments.generation import deadline as deadlines
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Pipeline, Stream
from deployments.generation.ports import Batches
from deployments.http.sse import EventStream, server_sent_events
from deployments.openai.documents import AnswerHead, ChunkedAnswer
from deployments.openai.schemas import StreamOptions
from deployments.shared.errors import NotReady
from deployments.shared.wire import GenerateCall, Piece
from tests.serving.hops import behind_a_handle, hops_of_a_token
from tests.serving.inprocess import running
from tests.serving.tiny import World

CALL = GenerateCall("0", (5,), ((),), {"n": 2}, b"")
NO_DEADLINE = Deadline(None)


def piece(row: int, token_id: int, finish_reason: str | None = None) -> Piece:
    return Piece(row, token_id, 1, f"<{token_id}>", None, (), finish_reason, None, 1)


ROWS = [[piece(0, 1), piece(1, 2)], [piece(0, 3, "stop")], [piece(1, 4, "length")]]


class Prompts:
    """Replicas that answer each call with `ROWS`, list by list, when the test lets it; raise where told to."""

    def __init__(self, num_calls: int, error: Exception | None = None) -> None:
        """error: raised by call 0 after its first list."""
        self._may_go: list[asyncio.Queue[None]] = [asyncio.Queue() for _ in range(num_calls)]
        self._error = error
        self.open: set[int] = set()
        self.asked: list[str] = []

    def let_go(self, number: int, lists: int = len(ROWS)) -> None:
        for _ in range(lists):
            self._may_go[number].put_nowait(None)

    async def generate(self, call: GenerateCall) -> Batches:
        number = int(call.request_id)
        self.asked.append(call.request_id)
        self.open.add(number)
        try:
            for index, pieces in enumerate(ROWS):
                await self._may_go[number].get()
                if index and not number and self._error is not None:
                    raise self._error
                yield pieces
        finally:
            self.open.discard(number)


def opened(prompts: Prompts, num_calls: int, deadline: Deadline = NO_DEADLINE) -> Stream:
    calls = [replace(CALL, request_id=str(number)) for number in range(num_calls)]
    return Pipeline(prompts, lambda: None).open(calls, deadline)


async def read(stream: Stream) -> list[Piece]:
    return [one async for pieces in stream for one in pieces]


async def settled() -> None:
    """Everything that can go on without the test has done so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_each_row_of_several_prompts_has_an_index_of_its_own() -> None:
    prompts = Prompts(3)
    for number in range(3):
        prompts.let_go(number)
    shown = await read(opened(prompts, 3))
    assert sorted((one.row, one.token_id) for one in shown) == [
        (2 * number + row, token) for number in range(3) for row, token in ((0, 1), (0, 3), (1, 2), (1, 4))
    ]


async def test_nothing_is_shown_before_every_prompt_has_begun_and_nothing_is_lost_meanwhile() -> None:
    prompts = Prompts(2)
    stream = opened(prompts, 2)
    prompts.let_go(0)
    beginning = asyncio.create_task(stream.begin())
    await settled()
    assert not beginning.done()
    prompts.let_go(1, lists=1)
    await beginning
    assert [await anext(stream) for _ in range(4)][:3] == ROWS
    await stream.aclose()


@pytest.mark.parametrize("num_calls", [1, 3])
@pytest.mark.parametrize("has_begun", [False, True], ids=["waiting-for-the-first", "in-its-midst"])
async def test_closing_a_stream_ends_every_call_and_nothing_comes_after_it(num_calls: int, has_begun: bool) -> None:
    prompts = Prompts(num_calls)
    stream = opened(prompts, num_calls)
    if has_begun:
        for number in range(num_calls):
            prompts.let_go(number, lists=1)
        await stream.begin()
    else:
        reading = asyncio.ensure_future(anext(stream))
        await settled()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await stream.aclose()
    assert not prompts.open
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert len(prompts.asked) == num_calls


@pytest.mark.parametrize("num_calls", [1, 2])
async def test_a_stream_that_was_never_read_asks_no_replica(num_calls: int) -> None:
    prompts = Prompts(num_calls)
    stream = opened(prompts, num_calls)
    await stream.aclose()
    assert await read(stream) == []
    with pytest.raises(NotReady):
        await stream.begin()
    assert prompts.asked == []


async def test_the_first_error_ends_every_call() -> None:
    prompts = Prompts(3, error=InvalidRequest("no"))
    stream = opened(prompts, 3)
    for number in range(3):
        prompts.let_go(number, lists=1)
    await stream.begin()
    for _ in range(3):
        await anext(stream)
    assert prompts.open == {0, 1, 2}
    prompts.let_go(0)
    with pytest.raises(InvalidRequest):
        await anext(stream)
    assert not prompts.open
    assert await read(stream) == []


async def test_one_prompt_pays_for_no_merging_and_no_deadline_for_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    prompts = Prompts(1)
    prompts.let_go(0, lists=1)
    monkeypatch.setattr(deadlines.asyncio, "timeout", never)
    before = len(asyncio.all_tasks())
    async for _ in opened(prompts, 1):
        assert len(asyncio.all_tasks()) == before
        prompts.let_go(0, lists=1)


@pytest.mark.parametrize("num_calls", [1, 2])
async def test_a_deadline_ends_every_call_while_the_next_piece_is_waited_for(num_calls: int) -> None:
    prompts = Prompts(num_calls)
    for number in range(num_calls):
        prompts.let_go(number, lists=1)
    stream = opened(prompts, num_calls, Deadline(0.2))
    await stream.begin()
    with pytest.raises(RequestTimeout) as late:
        await read(stream)
    assert late.value.code == "deadline_exceeded"
    assert not prompts.open


class Counted:
    """A watch that notes what it is told."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.errors: list[Exception] = []

    def passed(self, pieces: Sequence[Piece]) -> None:
        self.pieces += pieces

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


@pytest.mark.parametrize(("seconds", "error"), [(None, None), (3600.0, None), (None, InvalidRequest("no"))])
async def test_every_piece_is_counted_once_and_the_error_too(seconds: float | None, error: Exception | None) -> None:
    prompts, watch = Prompts(2, error), Counted()
    stream = opened(prompts, 2, Deadline(seconds))
    for number in range(2):
        prompts.let_go(number, lists=1)
    await stream.begin()
    stream.watched_by(watch)
    shown = [one for _ in range(2) for one in await anext(stream)]
    for number in range(2):
        prompts.let_go(number, lists=len(ROWS) - 1)
    if error is None:
        shown += await read(stream)
    else:
        with pytest.raises(InvalidRequest):
            await read(stream)
    assert watch.pieces == shown
    assert watch.errors == ([] if error is None else [error])


async def sent(stream: Stream, send: Callable[[object], object]) -> None:
    """A response of this stream, sent as an ASGI server would have it sent."""
    events = server_sent_events(stream, ChunkedAnswer(AnswerHead("chat", "id", 0, "m"), 2), 2, StreamOptions())
    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    await EventStream(events, stream, {})(scope, asyncio.Event().wait, send)  # type: ignore[arg-type]


@pytest.mark.parametrize("leaves_at", [0, 1], ids=["before-the-first-event", "after-the-first-event"])
@pytest.mark.parametrize("num_calls", [1, 2])
async def test_a_client_that_leaves_ends_the_calls(leaves_at: int, num_calls: int) -> None:
    prompts = Prompts(num_calls)
    for number in range(num_calls):
        prompts.let_go(number, lists=1)
    stream = opened(prompts, num_calls)
    await stream.begin()
    messages: list[object] = []

    async def send(message: object) -> None:
        if len(messages) == leaves_at:
            raise asyncio.CancelledError
        messages.append(message)

    with pytest.raises(asyncio.CancelledError):
        await sent(stream, send)
    assert not prompts.open


MOST_GENERATORS = 4
"""Of ours, in ingress and replica together: the events of the response, Ray's handle, the replica, its worker."""
BODY = {"messages": [{"role": "user", "content": "What is 17 + 25?"}], "stream": True, "ignore_eos": True}


async def test_a_token_passes_few_async_generators(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args, replicas_of=behind_a_handle) as (http, _):
        hops = await hops_of_a_token(http, {**BODY, "model": "math_reasoning"})
    files = [hop.file for hop in hops]
    assert files[0].endswith("http/sse.py")
    assert "deployments/generation/pipeline.py" in files
    assert files[-1].endswith("engine/mailbox.py")
    assert sum(hop.is_generator for hop in hops) <= MOST_GENERATORS, hops
