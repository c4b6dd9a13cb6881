"""The calibrations that this process has read, looked for again beside the event loop."""

from __future__ import annotations

import asyncio

from adaptrix_core.confidence.shelf import CalibrationShelf
from deployments.http.services import Services


async def calibrations_at_hand(services: Services) -> CalibrationShelf:
    """The shelf, once it has read what there is; files are looked at in a thread, at most every few seconds."""
    if services.calibrations.is_due:
        await asyncio.to_thread(services.calibrations.refresh)
    return services.calibrations
