"""Loads each bundle in a task of its own, so that a slow or failing one delays no other.

A try has a time limit. A failed one is repeated, soon at first, then as its circuit breaker allows. Knows when to try,
not how (`holdings.py`). One event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterUnavailable
from deployments.replica.packages.circuit_breakers import CircuitBreakers
from deployments.shared.entry import Entry

logger = logging.getLogger(__name__)

TRY_LIMIT_S = 30.0
"""Time limit of one try (fetching, verifying and loading a bundle), in seconds."""
REQUEST_WAIT_S = 10.0
"""Longest time, in seconds, that a request waits for a bundle that is being loaded."""
TRIES_AT_ONCE = 8
"""Tries that run at once."""


class PackageTasks:
    """The bundles that are being loaded."""

    def __init__(
        self, bring: Callable[[Entry], Awaitable[None]], breakers: CircuitBreakers, try_limit_s: float = TRY_LIMIT_S
    ) -> None:
        """bring: fetches, verifies and loads once; returns if that is settled (or refused), raises to be retried."""
        self._bring = bring
        self._breakers = breakers
        self._try_limit_s = try_limit_s
        self._tasks: dict[BundleDigest, asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(TRIES_AT_ONCE)
        self._changed = asyncio.Event()

    def start_loading(self, entry: Entry) -> None:
        """Begin to load a bundle."""
        self.stop_loading(entry.bundle_digest)
        self._tasks[entry.bundle_digest] = asyncio.create_task(self._keep_trying(entry))

    def stop_loading(self, bundle: BundleDigest) -> None:
        """Stop loading a bundle that is not wanted any more."""
        task = self._tasks.pop(bundle, None)
        if task is not None:
            task.cancel()
        self._breakers.close(bundle)
        self._notify()

    def bundles(self) -> list[BundleDigest]:
        """Bundles whose loading is not settled."""
        return list(self._tasks)

    async def tried(self, bundles: Iterable[BundleDigest], timeout_s: float) -> None:
        """Return once each of these was settled or has failed once, or after ``timeout_s``."""
        wanted = set(bundles)
        await self._until(
            lambda: not any(p in self._tasks and not self._breakers.has_failed(p) for p in wanted), timeout_s
        )

    async def landed(self, bundle: BundleDigest) -> None:
        """Return once a bundle is settled, at once where it is not being loaded. Raises AdapterUnavailable."""
        self._breakers.require_closed(bundle)
        if bundle not in self._tasks:
            return
        is_settled = await self._until(
            lambda: bundle not in self._tasks or self._breakers.is_open(bundle), REQUEST_WAIT_S
        )
        self._breakers.require_closed(bundle)
        if not is_settled:
            raise AdapterUnavailable(
                f"bundle {bundle} is still being loaded after {REQUEST_WAIT_S:.0f} s; send the request again later",
                retry_after_s=REQUEST_WAIT_S,
            )

    async def _keep_trying(self, entry: Entry) -> None:
        bundle = entry.bundle_digest
        while True:
            try:
                async with self._room, asyncio.timeout(self._try_limit_s):
                    await self._bring(entry)
            except Exception as error:  # any error: the next try may succeed
                shown = self._late(error)
                self._breakers.failed(bundle, shown)
                logger.warning("adapter %s could not be loaded: %s", entry.identity, shown)
            else:
                self._breakers.close(bundle)
                del self._tasks[bundle]
                self._notify()
                return
            self._notify()
            await asyncio.sleep(self._breakers.retry_in_s(bundle))

    def _late(self, error: Exception) -> Exception:
        return TimeoutError(f"no result within {self._try_limit_s:g} s") if isinstance(error, TimeoutError) else error

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True
