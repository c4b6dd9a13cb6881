"""Which replicas a call may go to after some have just refused it (see `second_choice.py`)."""

from __future__ import annotations

from typing import Any

from deployments.wire import GenerateCall


def willing(candidates: list[Any], pending_request: Any) -> list[Any]:
    """The replicas that have not refused this call; all of them where each one has."""
    call = pending_request.args[0] if pending_request is not None and pending_request.args else None
    refused_by = call.refused_by if isinstance(call, GenerateCall) else ()
    return [replica for replica in candidates if replica.replica_id.unique_id not in refused_by] or candidates
