"""Things that are slow to read and asked for by many at once: each is read once, and the last ones are kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """Items by key. One event loop."""

    def __init__(self, read: Callable[[str], Awaitable[tuple[T, int]]], max_bytes: int) -> None:
        """read: the item and its size; may raise. max_bytes: how much is kept beside the item last asked for."""
        self._read = read
        self._max_bytes = max_bytes
        self._items: OrderedDict[str, tuple[T, int]] = OrderedDict()
        self._reading: dict[str, asyncio.Task[tuple[T, int]]] = {}
        self.num_reads = 0
        """How often something was read."""

    async def get(self, key: str) -> T:
        """The item; who asks while it is being read waits for that read, and gets its error where it fails."""
        if key not in self._items:
            task = self._reading.get(key)
            if task is None:
                task = self._reading[key] = asyncio.create_task(self._read_once(key))
            # One that asks may go away; the others still want it.
            return (await asyncio.shield(task))[0]
        self._items.move_to_end(key)
        return self._items[key][0]

    def drop(self, key: str) -> None:
        """Keep this one no longer."""
        self._items.pop(key, None)

    async def _read_once(self, key: str) -> tuple[T, int]:
        self.num_reads += 1
        try:
            item = self._items[key] = await self._read(key)
        finally:
            del self._reading[key]
        while len(self._items) > 1 and sum(size for _, size in self._items.values()) > self._max_bytes:
            self._items.popitem(last=False)
        return item
