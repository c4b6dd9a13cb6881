"""Keeps a replica's revocation list in force and its lease renewed.

Long-polls the store, so a revocation arrives at once, and asks again well before the lease ends. While the store does
not answer, the list in the shared directory counts, which is signed and numbered too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from adaptrix_core.adapters.trust.revocation import SignedList
from adaptrix_core.adapters.trust.revocation_lease import RevocationLease
from deployments.shared.follower import Follower

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 20.0
RETRY_S = 0.5

Ask = Callable[[int, float], Awaitable[SignedList | None]]
"""(number of the known list, seconds to wait for another one) -> the list; None if none was ever published."""


class RevocationFollower:
    """Follows one store for one lease."""

    def __init__(
        self,
        lease: RevocationLease,
        ask: Ask,
        ask_directory: Callable[[], SignedList | None],
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        """ask_directory: reads the list in the shared directory; raises OSError where that cannot be reached.

        on_change: called after another list came into force.
        """
        self._lease = lease
        self._ask = ask
        self._ask_directory = ask_directory
        self._on_change = on_change
        self._follower = Follower(self._long_poll)
        self._wait_s = min(LONGEST_WAIT_S, lease.max_age_s / 4)

    async def start(self) -> None:
        """Confirm the list once, if store or directory can, and follow it from now on."""
        await self.refresh()
        self._follower.start()

    def stop(self) -> None:
        """Stop following."""
        self._follower.stop()

    async def refresh(self) -> None:
        """Ask now."""
        await self._renew(0.0)

    async def _long_poll(self) -> float:
        return 0.0 if await self._renew(self._wait_s) else RETRY_S

    async def _renew(self, wait_s: float) -> bool:
        """Ask the store, else the shared directory. Returns whether the store gave a valid answer."""
        asked_at = self._lease.now()
        try:
            await self._take(await self._ask(self._lease.list.number, wait_s), asked_at)
            return True
        except Exception as error:  # a store may be lost or answer anything: no error may end the following
            logger.warning("the adapter store confirms no revocation list: %s", error)
        asked_at = self._lease.now()
        try:
            await self._take(await asyncio.to_thread(self._ask_directory), asked_at)
        except Exception as error:
            logger.warning("the shared directory confirms no revocation list: %s", error)
        return False

    async def _take(self, files: SignedList | None, asked_at: float) -> None:
        if self._lease.confirm(files, asked_at):
            logger.info("revocation list %d in force", self._lease.list.number)
            await self._on_change()
