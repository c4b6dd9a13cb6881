"""The running requests of each bundle, so that a revocation reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdaptrixError


class PackageUsers:
    """Running requests by bundle. One event loop."""

    def __init__(self) -> None:
        self._running: dict[BundleDigest, set[asyncio.Future[None]]] = {}

    @contextmanager
    def registered(self, bundles: Iterable[BundleDigest]) -> Iterator[asyncio.Future[None]]:
        """Register a request for these bundles while the context lasts; `end` sets its error on the future."""
        used = set(bundles)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for bundle in used:
            self._running.setdefault(bundle, set()).add(ended)
        try:
            yield ended
        finally:
            ended.cancel()
            for bundle in used:
                self._running[bundle].discard(ended)
                if not self._running[bundle]:
                    del self._running[bundle]

    def end(self, bundle: BundleDigest, error: AdaptrixError) -> None:
        """End every running request that uses ``bundle`` with ``error``."""
        for ended in self._running.get(bundle, ()):
            if not ended.done():
                ended.set_exception(error)
