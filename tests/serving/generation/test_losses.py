"""What is a loss and what is not: the pieces and calls of a request whose replicas are lost, full, or refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adaptrix_core.errors import AdapterRejected, AdaptrixError, EngineHung, EngineStopped, InvalidRequest, Overloaded
from deployments.generation import continue_elsewhere
from deployments.generation.continue_elsewhere import MAX_LOSSES, PATIENCE_S, ContinueElsewhere
from deployments.generation.deadline import Deadline
from deployments.generation.pipeline import Pipeline, Stream
from deployments.generation.ports import Batches
from deployments.shared.errors import ReplicaLost
from deployments.shared.wire import GenerateCall, Piece, RowSoFar, RowTimes

CALL = GenerateCall("call", "a", mixes=((),), sampling={"n": 2}, salt=b"")


def piece(index: int, token_id: int | None, position: int, finish_reason: str | None = None, **more: Any) -> Piece:
    return Piece(index, token_id, position, f"<{token_id}>", None, (), finish_reason, more.get("error"), 5)


class Scripted:
    """Stands for the Ray handle: each call gives what its script says, then raises or just ends."""

    def __init__(self, *scripts: tuple[list[list[Piece]], Exception | None]) -> None:
        self._scripts = iter(scripts)
        self.calls: list[GenerateCall] = []
        self.closed = 0

    async def generate(self, call: GenerateCall) -> Batches:
        self.calls.append(call)
        batches, error = next(self._scripts)
        try:
            for pieces in batches:
                yield pieces
            if error is not None:
                raise error
        finally:
            self.closed += 1


BEGUN = [[piece(0, 7, 5), piece(1, 8, 5)], [piece(0, 9, 6, "stop"), piece(1, 6, 6)]]
REST = [[piece(1, 4, 7, "length")]]
ABORTED = [[piece(1, None, 7, "abort")]]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continue_elsewhere, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(continue_elsewhere, "LONGEST_PAUSE_S", 0.0)


def opened(replicas: Scripted, on_loss: Callable[[], object] = lambda: None) -> Stream:
    return Pipeline(replicas, on_loss).open([CALL], Deadline(None))


async def gathered(replicas: Scripted, on_loss: Callable[[], object] = lambda: None) -> list[Piece]:
    return [p async for pieces in opened(replicas, on_loss) for p in pieces]


@pytest.mark.parametrize(
    ("batches", "error"),
    [
        (BEGUN, ReplicaLost("gone")),
        (BEGUN, EngineStopped("ends")),
        ([*BEGUN, *ABORTED], None),
        (BEGUN, None),
        ([BEGUN[0], [*BEGUN[1], *ABORTED[0]]], ReplicaLost("gone")),
        ([*BEGUN, *ABORTED, [piece(1, 99, 7)]], None),
    ],
    ids=["lost", "engine-stopped", "aborted-by-its-engine", "ended-too-early", "aborted-in-a-batch", "goes-on-aborted"],
)
async def test_a_loss_is_gone_on_from_with_what_was_shown(batches: list[list[Piece]], error: Exception | None) -> None:
    replicas, losses = Scripted((batches, error), (REST, None)), []
    shown = await gathered(replicas, lambda: losses.append(1))
    assert shown == [*BEGUN[0], *BEGUN[1], *REST[0]]
    assert replicas.calls[1] == replace(
        CALL, request_id="call.1", resume=(RowSoFar((7, 9), is_finished=True), RowSoFar((8, 6)))
    )
    assert len(losses) == 1
    assert replicas.closed == 2


async def test_a_replica_lost_before_the_first_token_is_asked_of_another() -> None:
    replicas = Scripted(([], ReplicaLost("gone")), ([*BEGUN, *REST], None))
    assert await gathered(replicas) == [*BEGUN[0], *BEGUN[1], *REST[0]]
    assert replicas.calls[1] == replace(CALL, request_id="call.1")


async def test_a_replica_lost_after_the_last_token_is_not_missed() -> None:
    replicas = Scripted(([*BEGUN, *REST], ReplicaLost("gone")))
    assert await gathered(replicas) == [*BEGUN[0], *BEGUN[1], *REST[0]]
    assert len(replicas.calls) == 1


@pytest.mark.parametrize("begun", [BEGUN, [*BEGUN, *REST]], ids=["in-its-midst", "after-its-last-token"])
@pytest.mark.parametrize(
    "error", [InvalidRequest("no"), AdapterRejected("revoked", code="adapter_revoked"), Overloaded("full")]
)
async def test_a_refusal_is_not_a_loss(error: AdaptrixError, begun: list[list[Piece]]) -> None:
    if isinstance(error, Overloaded):
        error.replica_id = "one"  # which another one would be asked in place of, had none begun
    replicas = Scripted((begun, error))
    with pytest.raises(type(error)):
        await gathered(replicas)
    assert len(replicas.calls) == 1


async def test_a_call_that_has_begun_waits_for_a_place_on_full_replicas() -> None:
    full = Overloaded("full")
    replicas = Scripted((BEGUN, ReplicaLost("gone")), ([], full), ([], full), (REST, None))
    assert (await gathered(replicas))[-1] == REST[0][0]
    assert [call.request_id for call in replicas.calls] == ["call", "call.1", "call.1", "call.1"]


async def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continue_elsewhere, "PATIENCE_S", 0.0)
    replicas = Scripted((BEGUN, ReplicaLost("gone")), ([], Overloaded("full")))
    with pytest.raises(Overloaded):
        await gathered(replicas)


async def test_a_call_that_ends_every_replica_is_given_up() -> None:
    replicas = Scripted(*[([], ReplicaLost("gone"))] * (MAX_LOSSES + 1))
    with pytest.raises(ReplicaLost, match=f"lost {MAX_LOSSES + 1} replicas"):
        await gathered(replicas)
    assert len(replicas.calls) == MAX_LOSSES + 1


async def test_a_call_with_which_replicas_hang_is_handed_on_once_and_apart() -> None:
    hung = EngineHung("hangs", was_in_step=True)
    replicas = Scripted(*[([], hung)] * 3)
    with pytest.raises(InvalidRequest, match="2 replicas hung") as refusal:
        await gathered(replicas)
    assert refusal.value.code == "request_hung"
    assert [call.is_suspect for call in replicas.calls] == [False, True]


async def test_a_call_that_was_not_in_the_step_that_hung_is_no_suspect() -> None:
    beside = EngineHung("hangs", was_in_step=False)
    replicas = Scripted(([], beside), (BEGUN, beside), (REST, None))
    assert (await gathered(replicas))[-1] == REST[0][0]
    assert replicas.calls[1].is_suspect is False


async def test_a_call_that_lost_two_replicas_is_computed_apart() -> None:
    gone = ReplicaLost("gone")
    replicas = Scripted(([], gone), ([], gone), ([*BEGUN, *REST], None))
    await gathered(replicas)
    assert [call.is_suspect for call in replicas.calls] == [False, False, True]


async def test_a_reader_that_leaves_while_a_call_waits_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continue_elsewhere, "FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr(continue_elsewhere, "LONGEST_PAUSE_S", 600.0)
    replicas, lost = Scripted(([], ReplicaLost("gone"))), asyncio.Event()
    waiting = asyncio.create_task(gathered(replicas, lost.set))
    await lost.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(replicas.calls) == 1


async def test_an_abort_that_says_why_ends_its_row() -> None:
    ended = [piece(0, None, 5, "abort", error="too late"), piece(1, None, 5, "abort", error="too late")]
    replicas = Scripted(([ended], None))
    assert await gathered(replicas) == ended


async def test_what_its_reader_has_left_is_not_gone_on_with() -> None:
    replicas = Scripted((BEGUN, ReplicaLost("gone")))
    batches = opened(replicas)
    assert await anext(batches) == BEGUN[0]
    await batches.aclose()
    assert replicas.closed == 1
    assert len(replicas.calls) == 1


# --- times, pauses, and what the next replica is told -----------------------------------------------------------------

GONE = ReplicaLost("gone")


class Clock:
    """Time that passes where a test says so, and in pauses; draws are the middle of their range."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.drawn_from: list[tuple[float, float]] = []

    def uniform(self, low: float, high: float) -> float:
        self.drawn_from.append((low, high))
        return (low + high) / 2

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(continue_elsewhere, "FIRST_PAUSE_S", 1.0)
    monkeypatch.setattr(continue_elsewhere, "LONGEST_PAUSE_S", 10.0)
    monkeypatch.setattr(continue_elsewhere.time, "perf_counter", lambda: clock.now)
    monkeypatch.setattr(continue_elsewhere.random, "uniform", clock.uniform)
    monkeypatch.setattr(continue_elsewhere.asyncio, "sleep", clock.sleep)
    return clock


def policy(**fields: Any) -> ContinueElsewhere:
    return ContinueElsewhere(replace(CALL, **fields), lambda: None)


async def test_each_loss_doubles_the_longest_pause_up_to_a_limit(clock: Clock) -> None:
    elsewhere = policy()
    for _ in range(MAX_LOSSES):
        assert await elsewhere.goes_on_after(GONE)
    assert clock.drawn_from == [(0.0, 2.0), (0.0, 4.0), (0.0, 8.0), (0.0, 10.0), (0.0, 10.0)]
    assert clock.now == 1000.0 + sum(high / 2 for _, high in clock.drawn_from)


async def test_full_replicas_are_retried_for_so_long_after_the_last_loss_and_never_without_one(clock: Clock) -> None:
    elsewhere, full = policy(), Overloaded("full")
    clock.now = 1.0  # as on a machine that has just started
    assert not await elsewhere.goes_on_after(full)
    await elsewhere.goes_on_after(GONE)
    clock.now += PATIENCE_S
    lost_at = clock.now
    await elsewhere.goes_on_after(GONE)
    clock.now = lost_at + PATIENCE_S - 0.5
    clock.drawn_from.clear()
    assert await elsewhere.goes_on_after(full)
    assert clock.drawn_from == [(1.0, 10.0)]
    clock.now = lost_at + PATIENCE_S
    assert not await elsewhere.goes_on_after(full)


async def test_the_next_replica_has_the_time_that_is_left(clock: Clock) -> None:
    elsewhere = policy(timeout_s=10.0)
    clock.now += 3.0
    assert elsewhere.call().timeout_s == 10.0
    await elsewhere.goes_on_after(GONE)  # with a pause of one second
    assert elsewhere.call().timeout_s == 6.0
    clock.now += 20.0
    assert elsewhere.call().timeout_s == 1e-3


async def test_the_prompt_goes_on_as_the_replica_read_it_that_began(clock: Clock) -> None:
    elsewhere = policy()
    elsewhere.take([piece(0, 7, 5)._replace(prompt_token_ids=(1, 2))])
    elsewhere.take([piece(1, 8, 5)._replace(prompt_token_ids=(3, 4))])
    await elsewhere.goes_on_after(GONE)
    assert elsewhere.call().prompt == (1, 2)


async def test_a_row_that_ended_without_a_token_is_not_begun_again(clock: Clock) -> None:
    elsewhere = policy()
    elsewhere.take([piece(1, None, 5, "stop")])
    await elsewhere.goes_on_after(GONE)
    assert elsewhere.call().resume == (RowSoFar(), RowSoFar((), is_finished=True))


async def test_what_has_ended_costs_no_pause_and_is_no_loss(clock: Clock) -> None:
    losses: list[int] = []
    elsewhere = ContinueElsewhere(CALL, lambda: losses.append(1))
    elsewhere.take([piece(0, 7, 5, "stop"), piece(1, 8, 5, "stop")])
    assert await elsewhere.goes_on_after(GONE)
    assert (losses, clock.drawn_from) == ([], [])


async def test_the_log_says_which_call_goes_on_from_where_and_why(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = policy()
    for pieces in BEGUN:
        elsewhere.take(pieces)
    await elsewhere.goes_on_after(GONE)
    assert caplog.messages == ["call call.1 goes on on another replica from 4 tokens: gone"]


TIMES = RowTimes(
    queued_s=0.5, load_s=0.25, prefill_s=0.125, decode_s=2.0, total_s=2.625, taken_over=(3,), num_preemptions=1
)


async def test_the_times_of_a_row_that_went_on_are_those_of_the_whole_row(clock: Clock) -> None:
    elsewhere = policy()
    clock.now += 2.0
    elsewhere.take([piece(0, 7, 5)])
    clock.now += 3.0
    elsewhere.take([piece(0, 7, 6)])
    await elsewhere.goes_on_after(GONE)  # with a pause of one second
    clock.now += 4.0
    (middle,) = elsewhere.take([piece(0, 8, 7)])
    assert middle.times is None
    last = [piece(0, 9, 8, "length")._replace(times=TIMES), piece(1, None, 5, "stop")._replace(times=TIMES)]
    begun, not_begun = elsewhere.take(last)
    assert begun.times == replace(TIMES, prefill_s=1.5, decode_s=8.0, total_s=10.0)
    assert not_begun.times == replace(TIMES, prefill_s=9.5, decode_s=0.0, total_s=10.0)
    assert (begun.token_id, begun.finish_reason) == (9, "length")


async def test_no_part_of_a_rows_time_is_below_zero(clock: Clock) -> None:
    elsewhere = policy()
    elsewhere.take([piece(0, 7, 5)])
    await elsewhere.goes_on_after(GONE)
    (last,) = elsewhere.take([piece(0, 9, 8, "length")._replace(times=TIMES)])
    assert last.times is not None
    assert last.times.prefill_s == 0.0


async def test_the_times_of_an_undisturbed_row_are_its_engines(clock: Clock) -> None:
    last = piece(0, 7, 5, "length")._replace(times=TIMES)
    assert policy().take([last]) == [last]
