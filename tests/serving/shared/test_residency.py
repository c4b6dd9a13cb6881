"""One record of residency: what the replicas have in memory, and the warmest place of each adapter."""

from __future__ import annotations

import pytest

from adaptrix_core.adapters.residency.tiers import Residency
from deployments.shared.residency import ClusterResidency
from deployments.shared.wire import Holding, Report


def report(replica_id: str, held: dict[str, Residency]) -> Report:
    return Report(replica_id, "base", 100, "", {bundle: Holding("w", None, place) for bundle, place in held.items()})


REPORTS = [
    report("a", {"x": "disk", "y": "host", "z": "disk"}),
    report("b", {"x": "device"}),
    report("c", {"x": "host"}),
]


def test_each_replica_has_in_memory_what_it_reports() -> None:
    known = ClusterResidency.of(REPORTS)
    assert known.on("a") == {"y": "host"}
    assert known.on("b") == {"x": "device"}
    assert known.on("one that has not reported") == {}


@pytest.mark.parametrize("order", [1, -1])
def test_an_adapter_is_as_warm_as_on_its_warmest_replica(order: int) -> None:
    assert ClusterResidency.of(REPORTS[::order]).warmest == {"x": "device", "y": "host"}
