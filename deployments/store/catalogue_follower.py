"""Keeps a process up to date with the store's catalogue, through restarts of the store.

Long-polls and retries. The meaning of a change is the caller's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from ray.exceptions import RayError

from adaptrix_core.config.sections import AdapterSettings
from deployments.shared.catalogue import Catalogue
from deployments.shared.follower import Follower
from deployments.shared.residency import ClusterResidency
from deployments.store.handle import open_store

logger = logging.getLogger(__name__)

RETRY_S = 0.5


class StoreFollower:
    """Holds the newest catalogue that this process has seen, and calls ``on_change`` with each new one."""

    def __init__(
        self,
        settings: AdapterSettings,
        namespace: str,
        on_change: Callable[[Catalogue], Awaitable[None]] | None = None,
    ) -> None:
        self._settings = settings
        self._namespace = namespace
        self._on_change = on_change
        self._follower = Follower(self._long_poll)
        self.catalogue = Catalogue("")
        self.store: Any = None

    async def start(self) -> None:
        """Open the store, take over its catalogue (``on_change`` included), and follow it from now on."""
        self.store = await open_store(self._settings, self._namespace)
        await self._take(await self.store.watch.remote(None))
        self._follower.start()

    def stop(self) -> None:
        """Stop following."""
        self._follower.stop()

    async def refresh(self) -> Catalogue:
        """Ask the store now, for names that are not known here yet. Raises RayError while the store is down."""
        await self._take(await self.store.watch.remote(None))
        return self.catalogue

    async def residency(self) -> ClusterResidency:
        """Ask the store where adapters are. Raises RayError while the store is down."""
        known: ClusterResidency = await self.store.residency.options(max_task_retries=0).remote()
        return known

    async def _take(self, catalogue: Catalogue) -> None:
        if catalogue.version == self.catalogue.version:
            return
        if self._on_change is not None:
            await self._on_change(catalogue)
        self.catalogue = catalogue

    async def _long_poll(self) -> float:
        try:
            await self._take(await self.store.watch.remote(self.catalogue.version))
        except RayError as error:
            logger.warning("the adapter store does not answer (%s); what is loaded keeps serving", error)
            await asyncio.sleep(RETRY_S)
            self.store = await self._reopened()
        except Exception:
            logger.exception("could not follow the catalogue to its newest version; trying again")
            return RETRY_S
        return 0.0

    async def _reopened(self) -> Any:
        try:
            return await open_store(self._settings, self._namespace)
        except RayError:
            logger.warning("the adapter store cannot be opened yet")
            return self.store
