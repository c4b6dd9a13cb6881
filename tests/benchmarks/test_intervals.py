"""Intervals of medians, and ratios between systems that took turns."""

from __future__ import annotations

import random

import pytest

from benchmarks.harness.interleave import interleave
from benchmarks.harness.intervals import Timing, of_speedup, of_values
from benchmarks.harness.report import Check


@pytest.mark.parametrize("count", [6, 9, 20])
def test_interval_holds_the_median_of_the_distribution_nineteen_times_in_twenty(count: int) -> None:
    noise = random.Random(0)
    intervals = [of_values([noise.expovariate(1.0) for _ in range(count)]) for _ in range(4000)]
    held = sum(interval.low <= 0.6931 <= interval.high for interval in intervals) / len(intervals)
    assert held >= 0.945


def test_interval_leaves_outliers_out_once_there_are_enough_values() -> None:
    assert of_values([1.0, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 90.0]).high == 2.6
    assert of_values([1.0, 2.0, 90.0]).high == 90.0


def test_speedup_compares_neighbours_and_says_how_many_times_faster_ours_is() -> None:
    # The machine becomes ten times slower half way; each of the rarer runs has a neighbour in its own half.
    ours = [Timing(float(at), 1.0 if at < 5 else 10.0) for at in range(10)]
    theirs = [Timing(1.4, 3.0), Timing(8.4, 30.0)]
    assert of_speedup(ours, theirs).median == pytest.approx(3.0)
    assert of_speedup(theirs, ours).median == pytest.approx(1 / 3)


def test_slow_cases_run_less_often_and_never_fewer_than_three_times() -> None:
    seconds = {"fast": 0.1, "slow": 2.0, "slowest": 100.0}
    order: list[str] = []

    def case(name: str) -> float:
        order.append(name)
        return seconds[name]

    timings = interleave({name: lambda name=name: case(name) for name in seconds}, repeats=10, share_s=10.0)
    assert {name: len(runs) for name, runs in timings.items()} == {"fast": 10, "slow": 5, "slowest": 3}
    measured = order[len(seconds) :]
    thirds = [measured[at : at + 6] for at in (0, 6, 12)]
    assert all("slowest" in third for third in thirds)


def test_check_is_only_met_or_missed_by_the_whole_interval() -> None:
    assert [Check("", of_values(values), 1.0).verdict for values in ([1.1, 1.2], [0.9, 1.2], [0.8, 0.9])] == [
        "met",
        "within noise",
        "missed",
    ]
    assert Check("", of_values([1.1, 1.2]), 1.0, at_most=True).verdict == "missed"
