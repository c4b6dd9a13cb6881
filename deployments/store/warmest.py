"""Finds the residency at which each adapter is cheapest to load in the cluster."""

from __future__ import annotations

from collections.abc import Iterable

from adaptrix_core.digests import BundleDigest
from adaptrix_core.routing.near_tie import LOAD_COST
from deployments.shared.wire import Report


def warmest(reports: Iterable[Report]) -> dict[BundleDigest, str]:
    """By bundle, its cheapest residency on any replica (device, host or disk); bundles on no replica are left out."""
    best: dict[BundleDigest, str] = {}
    for report in reports:
        for bundle, holding in report.held.items():
            if bundle not in best or LOAD_COST[holding.residency] < LOAD_COST[best[bundle]]:
                best[bundle] = holding.residency
    return best
