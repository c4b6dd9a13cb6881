"""The calibrations and measured mixes that this process has read, looked for again beside the event loop."""

from __future__ import annotations

import asyncio

from adaptrix_core.composition.conflicts.guard import ConflictGuard
from adaptrix_core.confidence.shelf import CalibrationShelf
from deployments.http.services import Services


async def calibrations_at_hand(services: Services) -> CalibrationShelf:
    """The shelf, once it has read what there is; files are looked at in a thread, at most every few seconds."""
    if services.calibrations.is_due:
        await asyncio.to_thread(services.calibrations.refresh)
    return services.calibrations


async def conflicts_at_hand(services: Services) -> ConflictGuard:
    """The guard of mixes, once it has read what was measured, likewise."""
    if not services.conflicts.is_off and services.conflicts.shelf.is_due:
        await asyncio.to_thread(services.conflicts.shelf.refresh)
    return services.conflicts
