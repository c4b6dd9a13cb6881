"""Keeps a process up to date with the residency of adapters in the whole cluster: cheap, and a second or two old.

The replicas' reports are the source; the store keeps the last of each. Knows no names of adapters, only bundles.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from ray.exceptions import RayError

from deployments.shared.follower import Follower
from deployments.shared.residency import ClusterResidency

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds between two polls: as often as replicas report."""
ANSWER_S = 5.0
"""Seconds after which a store that does not answer counts as lost."""
FORGET_S = 15.0
"""Seconds without an answer after which the known residency is dropped; no adapter and no replica is preferred by it
then."""


class ResidencyFollower:
    """Polls about once a second; readers never wait."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[ClusterResidency]],
        tell: Callable[[ClusterResidency], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """ask: of the store; may raise RayError. tell: called with every answer, and with an empty one to forget it."""
        self._ask = ask
        self._tell = tell
        self._clock = clock
        self._known_at = clock()
        self._follower = Follower(self._poll)

    def start(self) -> None:
        """Start polling."""
        self._follower.start()

    def stop(self) -> None:
        """Stop polling."""
        self._follower.stop()

    async def refresh(self) -> None:
        """Ask now."""
        try:
            async with asyncio.timeout(ANSWER_S):
                self._tell(await self._ask())
            self._known_at = self._clock()
        except (RayError, TimeoutError) as error:
            logger.warning("the adapter store does not say where adapters are: %s", error)
            if self._clock() - self._known_at > FORGET_S:
                self._tell(ClusterResidency())

    async def _poll(self) -> float:
        await self.refresh()
        return POLL_S
