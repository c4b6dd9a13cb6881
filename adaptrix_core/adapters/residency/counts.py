"""Counts of hits, loads and evictions, by tier. Not thread-safe: `DynamicLoader` holds the lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from adaptrix_core.adapters.residency.tiers import Tier
from adaptrix_core.digests import WeightsDigest

ResidencyEvent = Literal["hit", "load", "eviction"]

Counts = dict[ResidencyEvent, dict[Tier, int]]


class ResidencyCounts:
    """Counts by weights digest.

    A hit is counted where a row takes its device slots: on the tier where the weights were. A disk hit is counted where
    a pin had to read them first. An eviction made room for another adapter; an unload is none.
    """

    def __init__(self) -> None:
        self._counts: dict[WeightsDigest, Counter[tuple[ResidencyEvent, Tier]]] = {}

    def count(self, event: ResidencyEvent, tier: Tier, weights_digests: Iterable[WeightsDigest]) -> None:
        """Add one for each of these adapters."""
        for digest in weights_digests:
            self._counts.setdefault(digest, Counter())[event, tier] += 1

    def forget_adapter(self, weights_digest: WeightsDigest) -> None:
        """Drop the counts of an adapter that is gone."""
        self._counts.pop(weights_digest, None)

    def by_digest(self) -> dict[WeightsDigest, Counts]:
        """A copy, by event and tier."""
        copies: dict[WeightsDigest, Counts] = {}
        for digest, counts in self._counts.items():
            for (event, tier), number in counts.items():
                copies.setdefault(digest, {}).setdefault(event, {})[tier] = number
        return copies
