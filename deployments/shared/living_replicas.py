"""Which replicas live, as Ray's control service has it: it learns of a process that ends in some milliseconds.

The store forgets a silent replica after 15 s, so that one which is merely busy keeps its place
(`store/replica_reports.py`). Whoever decides where traffic goes wants to know of a death at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from deployments import ray_seam
from deployments.shared.wire import Report


async def living(reports: Iterable[Report]) -> list[Report]:
    """Those of replicas whose process has not ended."""
    return await asyncio.to_thread(lambda: [report for report in reports if not _is_dead(report.actor_id)])


def _is_dead(actor_id: str | None) -> bool:
    return actor_id is not None and ray_seam.is_dead(actor_id)
