"""Where in the cluster each adapter is cheapest to load."""

from __future__ import annotations

from collections.abc import Iterable

from adaptrix_core.digests import BundleDigest
from adaptrix_core.routing.near_tie import LOAD_COST
from deployments.shared.wire import Report


def warmest(reports: Iterable[Report]) -> dict[BundleDigest, str]:
    """By bundle, the residency (device, host or disk) where it is cheapest to load; others are on no replica."""
    best: dict[BundleDigest, str] = {}
    for report in reports:
        for bundle, holding in report.held.items():
            if bundle not in best or LOAD_COST[holding.residency] < LOAD_COST[best[bundle]]:
                best[bundle] = holding.residency
    return best
