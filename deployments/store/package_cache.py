"""Reads each package once for many replicas that ask at the same time (single-flight), and keeps recent ones (LRU)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from adaptrix_core.digests import BundleDigest
from deployments.shared.single_flight import SingleFlight

T = TypeVar("T")


class PackageCache(Generic[T]):
    """Items by bundle, least recently used dropped first. One event loop."""

    def __init__(self, read: Callable[[BundleDigest], Awaitable[tuple[T, int]]], max_bytes: int) -> None:
        """read: returns an item and its size in bytes; may raise. max_bytes: kept at most, beside the newest item."""
        self._read = read
        self._max_bytes = max_bytes
        self._items: OrderedDict[BundleDigest, tuple[T, int]] = OrderedDict()
        self._reads: SingleFlight[BundleDigest, tuple[T, int]] = SingleFlight()

    async def get(self, bundle: BundleDigest) -> T:
        """The item. Callers that ask during a read share it, and its error if it fails."""
        if bundle not in self._items:
            return (await self._reads.do(bundle, lambda: self._read_once(bundle)))[0]
        self._items.move_to_end(bundle)
        return self._items[bundle][0]

    def drop(self, bundle: BundleDigest) -> None:
        """Drop the bundle's item."""
        self._items.pop(bundle, None)

    async def _read_once(self, bundle: BundleDigest) -> tuple[T, int]:
        item = self._items[bundle] = await self._read(bundle)
        while len(self._items) > 1 and sum(size for _, size in self._items.values()) > self._max_bytes:
            self._items.popitem(last=False)
        return item
