"""One loop that follows something in the background: asks, waits, asks again, until it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Follower:
    """Asks again and again, in a task of its own."""

    def __init__(self, ask: Callable[[], Awaitable[float]]) -> None:
        """ask: asks once, and returns how many seconds to wait before it is called again; must not raise."""
        self._ask = ask
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Follow from now on."""
        self._task = asyncio.create_task(self._follow())

    def stop(self) -> None:
        """Stop following (idempotent)."""
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(await self._ask())
