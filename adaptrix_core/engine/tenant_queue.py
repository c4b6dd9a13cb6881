"""Runs work of caller-chosen cost in a few threads, a bounded number at once for one tenant (a bulkhead between them).

Beside the event loop and the engine's thread. Used for grammars and for long texts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from adaptrix_core.errors import Overloaded

T = TypeVar("T")


class TenantQueue:
    """Belongs to one event loop."""

    def __init__(self, what: str, threads: int, at_once: int, max_waiting: int) -> None:
        """what: the work in plural, for messages. at_once (below threads) and max_waiting: limits of one tenant."""
        self._what = what
        self._at_once = at_once
        self._max_waiting = max_waiting
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="adaptrix-tenants")
        self._turns: dict[bytes, asyncio.Semaphore] = {}
        self._inside: Counter[bytes] = Counter()

    async def run(self, salt: bytes, function: Callable[..., T], *args: Any) -> T:
        """The result of ``function(*args)``, for the tenant of ``salt``. Raises its errors, and Overloaded."""
        if self._inside[salt] >= self._max_waiting:
            raise Overloaded(
                f"{self._max_waiting} {self._what} of yours are being prepared; send this one again in a moment",
                retry_after_s=1.0,
            )
        turns = self._turns.setdefault(salt, asyncio.Semaphore(self._at_once))
        self._inside[salt] += 1
        try:
            async with turns:
                return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)
        finally:
            self._inside[salt] -= 1
            if not self._inside[salt]:
                del self._inside[salt], self._turns[salt]
