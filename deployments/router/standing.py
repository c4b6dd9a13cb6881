"""Whether the router has to be asked of every question, as a replica knows it without asking on a request's way.

It has to where something is set or has been learnt there that the adapters' cards do not say. It is asked for that
beside the requests, at most once in `FRESH_S`, so what an operator teaches counts a moment later.
"""

from __future__ import annotations

import asyncio
import logging
import time

from deployments.generation.ports import Router

logger = logging.getLogger(__name__)

FRESH_S = 2.0
"""Seconds for which what the router has said holds without a further question."""


class RouterStanding:
    """What one router has said of itself. One event loop."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._has_to_be_asked = True
        self._known_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def has_to_be_asked(self) -> bool:
        """Whether every question is to be put to the router, as it last said; until it has said anything, yes."""
        self.refresh()
        return self._has_to_be_asked

    def refresh(self) -> None:
        """Ask it in the background, if what it said last is old."""
        is_asking = self._asking is not None and not self._asking.done()
        if not is_asking and time.monotonic() - self._known_at >= FRESH_S:
            self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        try:
            self._has_to_be_asked = await self._router.has_to_be_asked()
        except Exception as error:  # it restarts, or is gone: what it said last holds
            logger.warning("the router does not say whether it has to be asked: %s", error)
        self._known_at = time.monotonic()
