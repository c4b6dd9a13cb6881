"""Histograms of latencies add up exactly, and their percentiles are within 5 % of the true ones."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.observe.tracker.latency_buckets import LAST, bucket_of, counted, merged, percentiles

seconds = st.lists(st.floats(2e-4, 1e6), min_size=1, max_size=60)


@given(seconds, st.floats(0.01, 1.0))
def test_a_percentile_is_within_five_percent_of_the_true_one(values: list[float], share: float) -> None:
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    histogram = counted(values)
    assert histogram is not None
    assert percentiles(histogram, [share]) == [pytest.approx(true, rel=0.05)]


@given(seconds, seconds)
def test_two_histograms_are_that_of_both_merged_or_one_behind_the_other(one: list[float], other: list[float]) -> None:
    first, second, both = counted(one), counted(other), counted([*one, *other])
    assert merged(first, second) == both
    assert first is not None
    assert second is not None
    assert both is not None
    assert percentiles(first + second, [0.5, 0.95]) == percentiles(both, [0.5, 0.95])


def test_long_histograms_are_read_as_short_ones_are() -> None:
    values = [2e-4 * 1.01**step for step in range(2000)]
    random.Random(0).shuffle(values)
    long = b"".join(part for start in range(0, 2000, 20) if (part := counted(values[start : start + 20])) is not None)
    short = counted(values)
    assert short is not None
    assert len(long) > len(short) > 64 * 5, "both are read by numpy"
    shares = [0.001, 0.01, 0.5, 0.95, 0.99, 1.0]
    for histogram in (long, short):
        true = [sorted(values)[math.ceil(share * 2000) - 1] for share in shares]
        assert percentiles(histogram, shares) == [pytest.approx(seconds, rel=0.05) for seconds in true]
    few = values[:30]
    (told,) = percentiles(counted(few) or b"", [0.5]) or [0.0]
    assert told == pytest.approx(sorted(few)[14], rel=0.05)


def test_no_time_is_too_short_or_too_long() -> None:
    assert (bucket_of(0.0), bucket_of(1e-4), bucket_of(1e300)) == (0, 0, LAST)


def test_nothing_has_no_percentiles() -> None:
    assert counted([]) is None
    assert merged(None, None) is None
    assert percentiles(b"", [0.5]) is None
