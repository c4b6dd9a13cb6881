"""How long streams gather tokens, and how many threads compute them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from adaptrix_core.config.sections import ReplicaSettings
from deployments.replica.cpu_threads import num_threads
from deployments.replica.token_pacing import LONGEST_S, SHORTEST_S, UNREAD_S, TokenPacing


class Clock:
    """Stands at a tick of every pace until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("streams", "interval_s"), [(1, SHORTEST_S), (3, SHORTEST_S), (4, 0.0625), (8, 0.125), (1000, LONGEST_S)]
)
def test_streams_share_the_messages_of_a_replica(streams: int, interval_s: float) -> None:
    pace = TokenPacing(100.0, Clock())
    with ExitStack() as stack:
        until_next = [stack.enter_context(pace.stream(is_read=True)) for _ in range(streams)]
        assert {until() for until in until_next} == {interval_s}


@pytest.mark.parametrize("is_read", [True, False])
def test_streams_that_begin_at_any_moment_send_at_the_same_ones(is_read: bool) -> None:
    clock = Clock()
    pace = TokenPacing(2.0, clock)
    with pace.stream(is_read) as first, pace.stream(is_read) as second:
        clock.now = 100.1
        due = clock.now + first()
        clock.now = 100.3
        assert clock.now + second() == pytest.approx(due)


def test_ticks_stay_common_while_streams_come_and_go() -> None:
    clock = Clock()
    pace = TokenPacing(64.0, clock)
    with ExitStack() as stack:
        for number in range(40):
            until_next = stack.enter_context(pace.stream(is_read=True))
            clock.now = 100.01 + number * 0.01
            due = clock.now + until_next()
            assert due == pytest.approx(100.5) or number < 16  # until then ticks are more frequent
            assert due * 32 == pytest.approx(round(due * 32))


def test_what_is_sent_right_before_a_tick_is_sent_next_at_the_tick_after() -> None:
    clock = Clock()
    pace = TokenPacing(2.0, clock)
    with pace.stream(is_read=True) as until_next:
        clock.now = 100.4995
        assert clock.now + until_next() == pytest.approx(101.0)


def test_a_stream_that_has_ended_leaves_its_share_to_the_others() -> None:
    pace = TokenPacing(10.0, Clock())
    with pace.stream(is_read=True) as until_next:
        with pace.stream(is_read=True):
            assert until_next() == 0.25
        assert until_next() == 0.125


def test_an_answer_that_nobody_reads_yet_takes_no_share() -> None:
    pace = TokenPacing(10.0, Clock())
    with pace.stream(is_read=True) as until_next, pace.stream(is_read=False) as until_unread:
        assert (until_next(), until_unread()) == (0.125, UNREAD_S)


@pytest.mark.parametrize(
    ("settings", "node_cpus", "threads"),
    [
        ({}, 8.0, 8),  # alone on its machine
        ({"num_replicas": 3}, 8.0, 2),
        ({"num_replicas": 1, "max_replicas": 4}, 8.0, 2),
        ({"num_replicas": 16, "cpus": 2.0}, 8.0, 2),  # never fewer than it reserves
        ({"num_replicas": 16, "cpus": 0.5}, 8.0, 1),
        ({"threads": 3}, 8.0, 3),
        ({}, 0.0, 1),
    ],
)
def test_a_replica_computes_on_its_share_of_the_machine(
    settings: dict[str, Any], node_cpus: float, threads: int
) -> None:
    assert num_threads(ReplicaSettings(**settings), node_cpus) == threads
