"""What this process has at hand for a request: calibrations and measured mixes, looked for again beside the event loop,
and how far feedback moves what a tenant asks of confidence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from adaptrix_core.composition.conflicts.guard import ConflictGuard
from adaptrix_core.confidence.shelf import CalibrationShelf
from deployments.http.services import Services
from deployments.shared.errors import as_core_error

logger = logging.getLogger(__name__)


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


async def thresholds_moved(services: Services, salt: bytes) -> Mapping[str, float]:
    """By who answers, how far a tenant's labels move its thresholds; nothing where no router keeps labels, or it fails:
    the calibration holds then, as for everybody.
    """
    if services.router is None:
        return {}
    try:
        return await services.router.confidence_moved(salt)
    except Exception as raised:
        error = as_core_error(raised)
        logger.warning("thresholds of confidence are not moved, because the router failed: %s", error.message)
        return {}
