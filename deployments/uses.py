"""Which running requests use which package, so that a revocation reaches them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from adaptrix_core.errors import AdaptrixError


class PackageUses:
    """Running requests by package. One event loop."""

    def __init__(self) -> None:
        self._running: dict[str, set[asyncio.Future[None]]] = {}

    @contextmanager
    def of(self, packages: Iterable[str]) -> Iterator[asyncio.Future[None]]:
        """A request that uses these packages for as long as the context lasts; `end` sets its error on the future."""
        used = set(packages)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for package in used:
            self._running.setdefault(package, set()).add(ended)
        try:
            yield ended
        finally:
            ended.cancel()
            for package in used:
                self._running[package].discard(ended)
                if not self._running[package]:
                    del self._running[package]

    def end(self, package: str, error: AdaptrixError) -> None:
        """Tell every running request that uses ``package`` that it is over."""
        for ended in self._running.get(package, ()):
            if not ended.done():
                ended.set_exception(error)
