"""Routing a call past the replicas that have just refused it (see `second_choice.py`).

Runs in every process with a handle to the model.
"""

from __future__ import annotations

from typing import Any

from ray.serve._private.request_router import PowerOfTwoChoicesRequestRouter
from ray.serve.request_router import PendingRequest, RunningReplica

from deployments.wire import GenerateCall


class RefusalAwareRouter(PowerOfTwoChoicesRequestRouter):
    """Ray Serve's own choice, save that a refused call goes to the shortest queue among the other replicas."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """One rank of candidates."""
        others = willing(candidate_replicas, pending_request)
        if len(others) < len(candidate_replicas):
            return [others]
        chosen: list[list[RunningReplica]] = await super().choose_replicas(candidate_replicas, pending_request)
        return chosen


def willing(candidates: list[Any], pending_request: Any) -> list[Any]:
    """The replicas that have not refused this call; all of them where each one has."""
    call = pending_request.args[0] if pending_request is not None and pending_request.args else None
    refused_by = call.refused_by if isinstance(call, GenerateCall) else ()
    return [replica for replica in candidates if replica.replica_id.unique_id not in refused_by] or candidates
