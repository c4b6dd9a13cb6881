"""Logs the service's URL once it answers, as `serve run` shows it; `make serve` prints its own line."""

from __future__ import annotations

import asyncio
import logging

from deployments.http.listings import readiness
from deployments.http.services import Services

POLL_S = 0.5
# The only logger of a replica whose lines `serve run` prints.
logger = logging.getLogger("ray.serve")


async def announce(services: Services, url: str) -> None:
    """Wait until requests can be served, then say so."""
    while await readiness(services):
        await asyncio.sleep(POLL_S)
    logger.info("Adaptrix is ready at %s", url)
