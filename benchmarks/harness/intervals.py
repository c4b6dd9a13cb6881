"""Medians with 95 % intervals, of times and of ratios between two systems that were timed in turns.

The interval of a median is between two of the sorted values, whose ranks follow from the binomial distribution; it
assumes nothing about the shape of the noise. With fewer than six values it is the whole range.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

TAIL = 0.025


@dataclass(frozen=True)
class Timing:
    """One run."""

    began: float
    """Seconds on the clock of whoever timed it; tells which runs were neighbours."""
    seconds: float


@dataclass(frozen=True)
class Interval:
    """A median and the 95 % interval of it."""

    median: float
    low: float
    high: float
    count: int
    """Values that it comes from."""

    def text(self, digits: int = 0) -> str:
        """``median  [low, high]``."""
        return f"{self.median:.{digits}f}  [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def of_values(values: Sequence[float]) -> Interval:
    """Median and interval of at least one value."""
    ordered = sorted(values)
    rank = _rank(len(ordered))
    return Interval(statistics.median(ordered), ordered[rank], ordered[-1 - rank], len(ordered))


def of_rates(timings: Sequence[Timing], work: float) -> Interval:
    """``work`` per second."""
    return of_values([work / timing.seconds for timing in timings])


def of_speedup(ours: Sequence[Timing], theirs: Sequence[Timing]) -> Interval:
    """How many times faster ours was on equal work: each run of the rarer one against the nearest run of the other.

    Neighbours in time share most of what disturbs a machine, so their ratio is steadier than the ratio of medians.
    """
    rare, frequent = sorted((ours, theirs), key=len)
    pairs = [(run, min(frequent, key=lambda other: abs(other.began - run.began))) for run in rare]
    if rare is ours:
        return of_values([other.seconds / run.seconds for run, other in pairs])
    return of_values([run.seconds / other.seconds for run, other in pairs])


def _rank(count: int) -> int:
    """Index of the interval's lower end: the highest r with P(Binomial(count, 1/2) <= r) <= TAIL, at least 0."""
    below, rank = 0.0, 0
    while (below := below + math.comb(count, rank) / 2**count) <= TAIL:
        rank += 1
    return max(0, rank - 1)
