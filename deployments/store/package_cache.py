"""Reads each package once for many replicas that ask at the same time (single-flight), and keeps recent ones (LRU)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from adaptrix_core.digests import BundleDigest

T = TypeVar("T")


class PackageCache(Generic[T]):
    """Items by bundle, least recently used dropped first. One event loop."""

    def __init__(self, read: Callable[[BundleDigest], Awaitable[tuple[T, int]]], max_bytes: int) -> None:
        """read: returns an item and its size in bytes; may raise. max_bytes: kept at most, beside the newest item."""
        self._read = read
        self._max_bytes = max_bytes
        self._items: OrderedDict[BundleDigest, tuple[T, int]] = OrderedDict()
        self._reading: dict[BundleDigest, asyncio.Task[tuple[T, int]]] = {}
        self.num_reads = 0
        """Number of reads so far."""

    async def get(self, bundle: BundleDigest) -> T:
        """The item. Callers that ask during a read share it, and its error if it fails."""
        if bundle not in self._items:
            task = self._reading.get(bundle)
            if task is None:
                task = self._reading[bundle] = asyncio.create_task(self._read_once(bundle))
            # One caller may be cancelled; the others still wait for the read.
            return (await asyncio.shield(task))[0]
        self._items.move_to_end(bundle)
        return self._items[bundle][0]

    def drop(self, bundle: BundleDigest) -> None:
        """Drop the bundle's item."""
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
