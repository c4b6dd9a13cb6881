"""The residency of adapters in the whole cluster, polled for the router: cheap, and up to a second old.

The replicas' reports are the source; the store keeps the last of each. Knows no names of adapters, only bundles.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from ray.exceptions import RayError

from adaptrix_core.digests import BundleDigest
from deployments.shared.follower import Follower

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""Seconds between two polls: as often as replicas report."""
ANSWER_S = 5.0
"""Seconds after which a store that does not answer counts as lost."""
FORGET_S = 15.0
"""Seconds without an answer after which the known residency is dropped; the router then prefers no adapter by it."""


class ResidencyFollower:
    """Polls about once a second; readers never wait."""

    def __init__(
        self, ask: Callable[[], Awaitable[Mapping[BundleDigest, str]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._known_at = clock()
        self._follower = Follower(self._poll)
        self.bundles: Mapping[BundleDigest, str] = {}
        """Residency by bundle, as `warmest` returns it."""

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
                self.bundles = await self._ask()
            self._known_at = self._clock()
        except (RayError, TimeoutError) as error:
            logger.warning("the adapter store does not say where adapters are: %s", error)
            if self._clock() - self._known_at > FORGET_S:
                self.bundles = {}

    async def _poll(self) -> float:
        await self.refresh()
        return POLL_S
