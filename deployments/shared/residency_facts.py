"""Publishes a replica's residency: the adapters on its device, and those only on its disk.

Pushed on changes, coalesced into one push per `INTERVAL_S`, because every push makes the controller send the whole set
of replicas to every ingress. The push uses a private interface of Ray Serve; where that is missing, the controller's
polling (`ModelReplica.record_routing_stats`) carries the same facts. They are pushed as a multiplexed model id, not as
routing stats, because the controller overwrites pushed routing stats with the last polled ones.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from functools import lru_cache
from typing import Any

from adaptrix_core.digests import BundleDigest

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
REPEAT_S = 60.0
"""Seconds after which unchanged facts are pushed again, for a controller that was restarted."""
MAX_PUBLISHED = 512
"""Most adapters that are published per place; placement does not know of further ones, which costs only warmth."""
DIGITS = 12
POLLED = "residency"

Places = tuple[Set[str], Set[str]]
"""Adapters on the device, and adapters on the disk only; by `short` digest."""


def short(bundle: BundleDigest) -> str:
    """The published prefix of a bundle digest. A collision only makes the choice of a replica worse."""
    return bundle[:DIGITS]


def encoded(residency: Mapping[BundleDigest, str]) -> str:
    """The residency of each bundle (device, host or disk), in the published form."""
    device, disk = (
        sorted(short(bundle) for bundle, place in residency.items() if place == wanted)[:MAX_PUBLISHED]
        for wanted in ("device", "disk")
    )
    return json.dumps([device, disk], separators=(",", ":"))


@lru_cache(maxsize=4096)
def decoded(published: str) -> Places:
    """The inverse of `encoded`."""
    device, disk = json.loads(published)
    return frozenset(device), frozenset(disk)


def places_of(pushed: Set[str], polled: Mapping[str, Any] | None) -> Places:
    """The places that a replica has published, by pushed model ids or polled routing stats; empty before the first."""
    published = next(iter(pushed), None) or (polled or {}).get(POLLED)
    return (frozenset(), frozenset()) if published is None else decoded(published)


class ResidencyPublisher:
    """Publishes for one replica. `changed` may be called from any thread, the rest belongs to one event loop."""

    def __init__(self, read: Callable[[], Mapping[BundleDigest, str]], push: Callable[[str], None]) -> None:
        """read: the present residency by bundle. push: may raise anything, and is then not called again."""
        self._read = read
        self._push = push
        self._pushes = True
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Publish now, and from now on."""
        self._wake.set()
        self._task = asyncio.create_task(self._keep_pushing())

    def stop(self) -> None:
        """Publish no more."""
        if self._task is not None:
            self._task.cancel()

    def changed(self) -> None:
        """Note that an adapter has come or gone; publishing follows later."""
        if not self._wake.is_set():
            with suppress(RuntimeError):  # the event loop has closed: nothing is left to publish to
                self._loop.call_soon_threadsafe(self._wake.set)

    def polled(self) -> dict[str, str]:
        """Routing stats: nothing while pushing works, so that the controller does not send everything twice."""
        return {} if self._pushes else {POLLED: encoded(self._read())}

    async def _keep_pushing(self) -> None:
        last = None
        while self._pushes:
            try:
                async with asyncio.timeout(REPEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                last = None
            self._wake.clear()
            facts = encoded(self._read())
            if facts != last:
                last = facts
                await self._push_once(facts)
            await asyncio.sleep(INTERVAL_S)

    async def _push_once(self, facts: str) -> None:
        try:
            await asyncio.to_thread(self._push, facts)
        except Exception:  # a private interface may change in any way; polling takes over
            logger.exception("Ray Serve takes no pushed routing information; it polls for it from now on")
            self._pushes = False
