"""Sends what requests leave to the tracker, batch after batch, beside everything else.

A batch is sent until it is taken: the tracker knows it by its number, so one whose answer was lost counts once.
Meanwhile the outbox fills, and drops and counts what it has no room for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from adaptrix_core.errors import AdaptrixError
from adaptrix_core.observe.tracker.book import TrackedBatch
from adaptrix_core.observe.tracker.outbox import Outbox
from deployments.shared.follower import Follower

logger = logging.getLogger(__name__)

SEND_S = 0.5
"""Seconds between two looks into the outbox: what a process that is killed loses of the requests that it ended."""
RETRY_S = 2.0
"""Seconds after a batch was not taken."""
LAST_S = 2.0
"""Longest wait, in seconds, of a process that ends for the tracker to take what is left."""


class Sender:
    """Empties one outbox."""

    def __init__(self, outbox: Outbox, send: Callable[[TrackedBatch], Awaitable[None]]) -> None:
        """send: raises AdaptrixError where the batch was not taken, or may not have been."""
        self._outbox = outbox
        self._send = send
        self._follower = Follower(self._look)
        self._is_failing = False

    def start(self) -> None:
        """Send from now on."""
        self._follower.start()

    async def stop(self) -> None:
        """Send what is left, if that goes quickly, and nothing more."""
        self._follower.stop()
        try:
            async with asyncio.timeout(LAST_S):
                while await self._sent():
                    pass
        except TimeoutError:
            logger.warning("requests that ended last are missing from the tracker, which does not answer")

    async def _look(self) -> float:
        while await self._sent():
            pass
        return RETRY_S if self._is_failing else SEND_S

    async def _sent(self) -> bool:
        """Whether a batch was sent and taken, so that there may be another one."""
        batch = self._outbox.next_batch()
        if batch is None:
            return False
        try:
            await self._send(batch)
        except AdaptrixError as error:
            if not self._is_failing:
                logger.warning("the tracker takes no requests now, they wait: %s", error.message)
            self._is_failing = True
            return False
        if self._is_failing:
            logger.info("the tracker takes requests again; %d had no room meanwhile", self._outbox.dropped)
        self._is_failing = False
        self._outbox.taken()
        return True
