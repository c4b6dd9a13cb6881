"""What a batch of requests adds to the sums by hour and by day: whole figures for each way in which they are asked for.

Knows how requests add up; not where sums are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from adaptrix_core.observe.tracker.latency_buckets import bucket_of, packed
from adaptrix_core.observe.tracker.tracked import OUTCOMES, TrackedRequest

HOUR, DAY = 3600, 86400
"""Lengths of the periods, in seconds. They begin with UTC's."""

COUNTS = ("requests", *OUTCOMES, "prompt_tokens", "cached_tokens", "completion_tokens")
"""What is counted, in the order in which it is kept."""
LATENCIES = ("queue_s", "load_s", "first_token_s", "per_token_s", "total_s")
"""Times of which there are histograms, in the order in which they are kept."""


class Grouping(NamedTuple):
    """A way in which requests are taken together: by what, and under which number it is kept."""

    number: int
    by: frozenset[str]
    has_latencies: bool = True


GROUPINGS = (
    Grouping(0, frozenset()),
    Grouping(1, frozenset({"adapter"})),
    Grouping(2, frozenset({"tenant"})),
    Grouping(3, frozenset({"tenant", "adapter"})),
    Grouping(4, frozenset({"tenant", "key_id", "adapter"}), has_latencies=False),
)
"""Smallest first. So that a question about adapters reads a row for each, not one for each key that used it."""


class SumKey(NamedTuple):
    """Whose sums: a grouping, a period, and the names in it by number; 0 where the grouping takes all together."""

    grouping: int
    period: int
    """Its length in seconds."""
    start: int
    """Seconds since 1970."""
    tenant: int
    key_id: int
    adapter: int


@dataclass
class Sums:
    """Figures of some requests."""

    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    latencies: list[dict[int, int]] = field(default_factory=lambda: [{} for _ in LATENCIES])
    """For each of `LATENCIES`, how many fell into which bucket."""

    def add_request(self, request: TrackedRequest) -> None:
        """Add one request."""
        counts = self.counts
        counts[0] += 1
        counts[1 + OUTCOMES.index(request.outcome)] += 1
        counts[-3] += request.prompt_tokens
        counts[-2] += request.cached_tokens
        counts[-1] += request.completion_tokens
        times = (request.queue_s, request.load_s, request.first_token_s, request.per_token_s)
        # Of those that were not answered to their end, the whole time says nothing of how fast the server is.
        total_s = request.total_s if request.outcome == "answered" else None
        for kept, seconds in zip(self.latencies, (*times, total_s), strict=True):
            if seconds is not None:
                bucket = bucket_of(seconds)
                kept[bucket] = kept.get(bucket, 0) + 1

    def add_sums(self, other: Sums, with_latencies: bool) -> None:
        """Add the figures of further requests."""
        for place, number in enumerate(other.counts):
            self.counts[place] += number
        if with_latencies:
            for kept, added in zip(self.latencies, other.latencies, strict=True):
                for bucket, number in added.items():
                    kept[bucket] = kept.get(bucket, 0) + number

    def row(self) -> tuple[int | bytes | None, ...]:
        """As it is kept: the counts, then the histograms."""
        return (*self.counts, *map(packed, self.latencies))


def sums_of(requests: Iterable[TrackedRequest], number_of: Callable[[str], int]) -> dict[SumKey, Sums]:
    """What these requests add to the sums. number_of: the number of a name."""
    finest: dict[tuple[int, int, int, int], Sums] = {}
    for request in requests:
        hour = int(request.at) // HOUR * HOUR
        names = number_of(request.tenant), number_of(request.key_id), number_of(request.adapter)
        finest.setdefault((hour, *names), Sums()).add_request(request)
    found: dict[SumKey, Sums] = {}
    for (hour, tenant, key_id, adapter), sums in finest.items():
        for grouping in GROUPINGS:
            by = grouping.by
            names = ("tenant" in by) * tenant, ("key_id" in by) * key_id, ("adapter" in by) * adapter
            for period in (HOUR, DAY):
                key = SumKey(grouping.number, period, hour // period * period, *names)
                found.setdefault(key, Sums()).add_sums(sums, grouping.has_latencies)
    return found
