"""Recent use of adapters, over all replicas: the most used ones are loaded by a new replica ahead."""

from __future__ import annotations

import time
from collections.abc import Callable

from cachetools import FIFOCache

from adaptrix_core.digests import BundleDigest
from deployments.shared.wire import Report

HALF_LIFE_S = 600.0
MAX_BUNDLES = 4096
MAX_REPLICAS = 256
"""Most replicas whose last counts are remembered, silent ones too: their counts must not be added twice."""
TIERS = ("device", "host")
"""Tiers at which a hit counts as a use: each row has one, where it takes its device slots."""


class AdapterUsage:
    """Uses by bundle digest, with exponential decay: each counts half after every `HALF_LIFE_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The least recently written is dropped.
        self._uses: FIFOCache[BundleDigest, tuple[float, float]] = FIFOCache(MAX_BUNDLES)
        """(decayed uses, time of that value) by bundle."""
        self._seen: FIFOCache[str, dict[BundleDigest, int]] = FIFOCache(MAX_REPLICAS)
        """By replica id: hits by bundle, as last reported."""

    def count_uses(self, report: Report) -> None:
        """Add the uses that a replica has counted since its last report."""
        before = self._seen.pop(report.replica_id, {})
        now = self._seen[report.replica_id] = {}
        for bundle, numbers in report.adapters.items():
            hits = now[bundle] = sum(numbers.counts.get("hit", {}).get(tier, 0) for tier in TIERS)
            # Fewer than known: it was unloaded and loaded again in between.
            new = hits - before.get(bundle, 0) if hits >= before.get(bundle, 0) else hits
            if new:
                self._uses[bundle] = (self._worth(bundle) + new, self._clock())

    def top(self, count: int) -> list[BundleDigest]:
        """The ``count`` bundles used most, most used first."""
        return sorted(self._uses, key=self._worth, reverse=True)[:count]

    def _worth(self, bundle: BundleDigest) -> float:
        uses, when = self._uses.get(bundle, (0.0, 0.0))
        return float(uses * 0.5 ** ((self._clock() - when) / HALF_LIFE_S))
