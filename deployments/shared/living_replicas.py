"""The replicas that live, by Ray's control service, which learns within milliseconds that a process has ended.

The store drops a silent replica only after 15 s, so that one which is merely busy keeps its place
(`store/replica_reports.py`). Decisions about traffic need to know of a death at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from deployments import ray_seam
from deployments.shared.wire import Report


async def living(reports: Iterable[Report]) -> list[Report]:
    """The reports of replicas whose process has not ended."""
    return await asyncio.to_thread(lambda: [report for report in reports if not _is_dead(report.actor_id)])


def _is_dead(actor_id: str | None) -> bool:
    return actor_id is not None and ray_seam.is_dead(actor_id)
