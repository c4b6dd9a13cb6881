"""How long streams gather tokens, and how many threads compute them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from adaptrix_core.sections import ReplicaSettings
from deployments.pace import LONGEST_S, SHORTEST_S, UNREAD_S, Pace
from deployments.threads import num_threads


@pytest.mark.parametrize(("streams", "interval_s"), [(1, SHORTEST_S), (2, SHORTEST_S), (8, 0.08), (1000, LONGEST_S)])
def test_streams_share_the_messages_of_a_replica(streams: int, interval_s: float) -> None:
    pace = Pace(100.0)
    with ExitStack() as stack:
        intervals = [stack.enter_context(pace.stream(is_read=True)) for _ in range(streams)]
        assert {interval() for interval in intervals} == {interval_s}


def test_a_stream_that_has_ended_leaves_its_share_to_the_others() -> None:
    pace = Pace(10.0)
    with pace.stream(is_read=True) as interval_s:
        with pace.stream(is_read=True):
            assert interval_s() == 0.2
        assert interval_s() == 0.1


def test_an_answer_that_nobody_reads_yet_takes_no_share() -> None:
    pace = Pace(10.0)
    with pace.stream(is_read=True) as interval_s, pace.stream(is_read=False) as unread_s:
        assert (interval_s(), unread_s()) == (0.1, UNREAD_S)


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
