"""What this process knows of the replicas, between Ray Serve's request router and the rest: which there are, and what
each one holds.

Only the router knows the replicas, and nobody can reach it; nor can it be handed anything, since Serve makes it. All
are in one process. Calls that some replicas have just refused go to the others (`generation/ask_another.py`); the
ingress tells here what the store says of residency (`store/residency_follower.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.digests import BundleDigest
from deployments.shared.residency import ClusterResidency
from deployments.shared.wire import GenerateCall

_known: frozenset[str] = frozenset()
_residency = ClusterResidency()


def saw(candidates: Iterable[Any]) -> None:
    """Note ``candidates``, the router's list of all replicas."""
    global _known
    _known = frozenset(replica.replica_id.unique_id for replica in candidates)


def told(residency: ClusterResidency) -> None:
    """Note where adapters are now."""
    global _residency
    _residency = residency


def residency_on(replica_id: str) -> Mapping[BundleDigest, Residency]:
    """The residency of each bundle that a replica has in memory, as far as this process knows."""
    return _residency.on(replica_id)


def all_have_refused(refused_by: Iterable[str]) -> bool:
    """Whether no replica is left to ask, as far as this process knows."""
    known = _known
    return bool(known) and known.issubset(refused_by)


def willing(candidates: list[Any], pending_request: Any) -> list[Any]:
    """The replicas that have not refused this call; all of them where each one has."""
    call = pending_request.args[0] if pending_request is not None and pending_request.args else None
    refused_by = call.refused_by if isinstance(call, GenerateCall) else ()
    return [replica for replica in candidates if replica.replica_id.unique_id not in refused_by] or candidates
