"""Which adapters were used most lately, over all replicas: what a new replica should have ready."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from adaptrix_core.digests import BundleDigest
from deployments.shared.wire import Report

HALF_LIFE_S = 600.0
MAX_BUNDLES = 4096
MAX_REPLICAS = 256
"""Replicas whose last counts are remembered; one that is silent for a while must not be counted anew."""
TIERS = ("device", "host")
"""A row counts where it takes its device slots, on one of these."""


class AdapterUsage:
    """Uses by bundle digest; each one counts half after every `HALF_LIFE_S`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._uses: OrderedDict[BundleDigest, tuple[float, float]] = OrderedDict()
        """(uses, when they were worth that), the one used last at the end."""
        self._seen: OrderedDict[str, dict[BundleDigest, int]] = OrderedDict()
        """By replica id: hits by bundle, as last reported."""

    def note(self, report: Report) -> None:
        """Take in what a replica has counted since its last report."""
        before = self._seen.pop(report.replica_id, {})
        now = self._seen[report.replica_id] = {}
        for bundle, numbers in report.adapters.items():
            hits = now[bundle] = sum(numbers.counts.get("hit", {}).get(tier, 0) for tier in TIERS)
            # Fewer than known: it was unloaded and loaded again in between.
            new = hits - before.get(bundle, 0) if hits >= before.get(bundle, 0) else hits
            if new:
                self._uses[bundle] = (self._worth(bundle) + new, self._clock())
                self._uses.move_to_end(bundle)
        while len(self._uses) > MAX_BUNDLES:
            self._uses.popitem(last=False)
        while len(self._seen) > MAX_REPLICAS:
            self._seen.popitem(last=False)

    def top(self, count: int) -> list[BundleDigest]:
        """The ``count`` bundles used most, most used first."""
        return sorted(self._uses, key=self._worth, reverse=True)[:count]

    def _worth(self, bundle: BundleDigest) -> float:
        uses, when = self._uses.get(bundle, (0.0, 0.0))
        return float(uses * 0.5 ** ((self._clock() - when) / HALF_LIFE_S))
