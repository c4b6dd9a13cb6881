"""Latencies as counts in buckets, each a tenth longer than the one before: any number of them add up exactly.

A percentile read from buckets is at most 5 % away from the true one, whatever was added together: hours, days,
replicas. A histogram is bytes: for each bucket that is not empty its number (1 byte) and its count (4 bytes). Two
histograms, one behind the other, are a histogram of both.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

SHORTEST_S = 1e-4
"""Seconds up to which a time counts as none: bucket 0."""
GROWTH = 1.1
"""Each bucket ends at so many times the end of the one before, so that its middle is within 5 % of all in it."""
LAST = 255
"""Number of the last bucket, which holds everything from about a month on."""

_LOG_GROWTH = math.log(GROWTH)
_PAIR = struct.Struct("<BI")
_MOST = 2**32 - 1
_SHORT_BYTES = 64 * _PAIR.size
"""Length up to which a histogram is read without numpy."""


def bucket_of(seconds: float) -> int:
    """The number of the bucket that a time falls into."""
    if seconds <= SHORTEST_S:
        return 0
    return min(LAST, 1 + int(math.log(seconds / SHORTEST_S) / _LOG_GROWTH))


def middle_of(bucket: int) -> float:
    """The seconds that stand for a bucket: the geometric middle of its bounds."""
    return 0.0 if bucket == 0 else float(SHORTEST_S * GROWTH ** (bucket - 0.5))


def packed(counts: Mapping[int, int]) -> bytes | None:
    """The histogram of these counts by bucket; None where there are none."""
    if not counts:
        return None
    return b"".join(_PAIR.pack(bucket, min(counts[bucket], _MOST)) for bucket in sorted(counts))


def merged(one: bytes | None, other: bytes | None) -> bytes | None:
    """Both histograms as one, each bucket in it once."""
    if one is None or other is None:
        return other if one is None else one
    counts = dict(_PAIR.iter_unpack(one))
    for bucket, count in _PAIR.iter_unpack(other):
        counts[bucket] = counts.get(bucket, 0) + count
    return packed(counts)


def counted(seconds: Iterable[float]) -> bytes | None:
    """The histogram of these times."""
    counts: dict[int, int] = {}
    for value in seconds:
        bucket = bucket_of(value)
        counts[bucket] = counts.get(bucket, 0) + 1
    return packed(counts)


def percentiles(histogram: bytes, shares: Sequence[float]) -> list[float] | None:
    """For each share from 0 to 1 the time, in seconds, that so many took at most; None for an empty histogram."""
    if not histogram:
        return None
    buckets, upto = _few(histogram) if len(histogram) <= _SHORT_BYTES else _many(histogram)
    ranks = [max(1, math.ceil(share * upto[-1])) for share in shares]
    return [middle_of(buckets[bisect_left(upto, rank)]) for rank in ranks]


def _few(histogram: bytes) -> tuple[Sequence[int], Sequence[int]]:
    """The buckets in order, and how many times are in each and those before it."""
    counts: dict[int, int] = {}
    for bucket, count in _PAIR.iter_unpack(histogram):
        counts[bucket] = counts.get(bucket, 0) + count
    buckets = sorted(counts)
    return buckets, list(accumulate(counts[bucket] for bucket in buckets))


def _many(histogram: bytes) -> tuple[Sequence[int], Sequence[int]]:
    """The same; takes a while for a short one, and hardly longer for a long one."""
    import numpy as np  # here: processes that only send records need none of it

    pairs = np.frombuffer(histogram, dtype=[("bucket", "u1"), ("count", "<u4")])
    upto = np.cumsum(np.bincount(pairs["bucket"], weights=pairs["count"]))
    return range(len(upto)), upto.astype(int).tolist()
