"""Residency in the whole cluster: the adapters that each replica has in memory, on its device or in host memory.

One record, on one road: each replica reports to the store about once a second (`Report.held`), and whoever decides by
it follows the store (`store/residency_follower.py`). Placement reads one replica's part of it, the router the warmest
place of each adapter; `/v1/adapters` and `/metrics` show the same reports. Adapters that are on disk only are not told:
each replica has the whole catalogue there, while memory bounds the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from adaptrix_core.adapters.residency.tiers import IN_MEMORY, Residency
from adaptrix_core.digests import BundleDigest
from adaptrix_core.routing.near_tie import LOAD_COST
from deployments.shared.wire import Report


@dataclass(frozen=True)
class ClusterResidency:
    """By the replicas' last reports; a second or two old where it is read."""

    by_replica: Mapping[str, Mapping[BundleDigest, Residency]] = field(default_factory=dict)
    """Residency of each bundle that a replica has in memory, by replica id."""

    @classmethod
    def of(cls, reports: Iterable[Report]) -> ClusterResidency:
        """The residency that these reports tell."""
        return cls(
            {
                report.replica_id: {
                    bundle: holding.residency
                    for bundle, holding in report.held.items()
                    if holding.residency in IN_MEMORY
                }
                for report in reports
            }
        )

    def on(self, replica_id: str) -> Mapping[BundleDigest, Residency]:
        """The residency of each bundle that a replica has in memory; empty before its first report."""
        return self.by_replica.get(replica_id, {})

    @cached_property
    def warmest(self) -> Mapping[BundleDigest, Residency]:
        """By bundle, its cheapest residency (`near_tie.LOAD_COST`) on any replica; those in no memory are left out."""
        best: dict[BundleDigest, Residency] = {}
        for held in self.by_replica.values():
            for bundle, place in held.items():
                if bundle not in best or LOAD_COST[place] < LOAD_COST[best[bundle]]:
                    best[bundle] = place
        return best
