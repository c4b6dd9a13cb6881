"""The replicas that a call may go to after some have just refused it (see `generation/ask_another.py`).

Only Ray Serve's request router knows the replicas, and callers cannot reach it. Both are in one process, so the
replicas that the router saw last are kept here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from deployments.shared.wire import GenerateCall

_known: frozenset[str] = frozenset()


def saw(candidates: Iterable[Any]) -> None:
    """Note ``candidates``, the router's list of all replicas."""
    global _known
    _known = frozenset(replica.replica_id.unique_id for replica in candidates)


def all_have_refused(refused_by: Iterable[str]) -> bool:
    """Whether no replica is left to ask, as far as this process knows."""
    known = _known
    return bool(known) and known.issubset(refused_by)


def willing(candidates: list[Any], pending_request: Any) -> list[Any]:
    """The replicas that have not refused this call; all of them where each one has."""
    call = pending_request.args[0] if pending_request is not None and pending_request.args else None
    refused_by = call.refused_by if isinstance(call, GenerateCall) else ()
    return [replica for replica in candidates if replica.replica_id.unique_id not in refused_by] or candidates
