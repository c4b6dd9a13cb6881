"""One line that says where the service is, once it answers: what `serve run` shows. `make serve` says it itself."""

from __future__ import annotations

import asyncio
import logging

from deployments.http.listings import readiness
from deployments.http.services import Services

POLL_S = 0.5
# The one logger of a replica whose lines Ray Serve writes and `serve run` prints.
logger = logging.getLogger("ray.serve")


async def announce(services: Services, url: str) -> None:
    """Wait until requests can be served, then say so."""
    while await readiness(services):
        await asyncio.sleep(POLL_S)
    logger.info("Adaptrix is ready at %s", url)
