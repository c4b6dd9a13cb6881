"""Packages that many replicas ask for at once: each is read once (single-flight), and those asked for last are kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from adaptrix_core.digests import BundleDigest

T = TypeVar("T")


class PackageCache(Generic[T]):
    """What was read of each bundle, least recently used dropped first. One event loop."""

    def __init__(self, read: Callable[[BundleDigest], Awaitable[tuple[T, int]]], max_bytes: int) -> None:
        """read: the item and its size; may raise. max_bytes: how much is kept beside the item last asked for."""
        self._read = read
        self._max_bytes = max_bytes
        self._items: OrderedDict[BundleDigest, tuple[T, int]] = OrderedDict()
        self._reading: dict[BundleDigest, asyncio.Task[tuple[T, int]]] = {}
        self.num_reads = 0
        """How often a bundle was read."""

    async def get(self, bundle: BundleDigest) -> T:
        """The item; who asks while it is being read waits for that read, and gets its error where it fails."""
        if bundle not in self._items:
            task = self._reading.get(bundle)
            if task is None:
                task = self._reading[bundle] = asyncio.create_task(self._read_once(bundle))
            # One that asks may go away; the others still want it.
            return (await asyncio.shield(task))[0]
        self._items.move_to_end(bundle)
        return self._items[bundle][0]

    def drop(self, bundle: BundleDigest) -> None:
        """Keep this one no longer."""
        self._items.pop(bundle, None)

    async def _read_once(self, bundle: BundleDigest) -> tuple[T, int]:
        self.num_reads += 1
        try:
            item = self._items[bundle] = await self._read(bundle)
        finally:
            del self._reading[bundle]
        while len(self._items) > 1 and sum(size for _, size in self._items.values()) > self._max_bytes:
            self._items.popitem(last=False)
        return item
