"""Bundles that a replica lets go: refused to new requests, kept for those that run on them, then deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.residency.loader import DynamicLoader
from adaptrix_core.adapters.trust.revocation_lease import RevocationLease
from adaptrix_core.digests import BundleDigest, WeightsDigest
from deployments.replica.packages.bundle_copies import BundleCopies
from deployments.shared.own_thread import in_own_thread

DRAIN_POLL_S = 0.05

Forget = Callable[[WeightsDigest], Awaitable[object]]
"""Makes keys and values that were computed under these weights unfindable for later requests."""


class DrainingBundles:
    """The bundles of one replica that are on their way out. One event loop."""

    def __init__(
        self,
        held: MutableMapping[BundleDigest, Adapter],
        loader: DynamicLoader,
        copies: BundleCopies,
        lease: RevocationLease,
        forget: Forget,
    ) -> None:
        """held: the adapters, from which one that has gone is removed."""
        self._held = held
        self._loader = loader
        self._copies = copies
        self._lease = lease
        self._forget = forget
        self._tasks: dict[BundleDigest, asyncio.Task[None]] = {}

    def __contains__(self, bundle: object) -> bool:
        return bundle in self._tasks

    async def gone(self, bundle: BundleDigest) -> None:
        """Return once a bundle that is on its way out has gone; at once for any other."""
        if (task := self._tasks.get(bundle)) is not None:
            await task

    def let_go(self, bundle: BundleDigest) -> None:
        """Let an adapter go, or the files of a composition, whose requests run on its parts."""
        if bundle not in self._tasks:
            leave = self._drain if bundle in self._held else self._delete
            self._tasks[bundle] = asyncio.create_task(leave(bundle))

    async def _delete(self, bundle: BundleDigest) -> None:
        """Delete the files of a bundle."""
        try:
            await in_own_thread(self._copies.delete, bundle)
        finally:
            del self._tasks[bundle]

    async def _drain(self, bundle: BundleDigest) -> None:
        """Refuse new requests, wait until the running ones have ended, then delete the files."""
        digest, package = self._held[bundle].weights_digest, self._held[bundle].package_digest
        try:
            self._loader.unload(bundle)
            while not _is_gone(self._loader, digest):
                await asyncio.sleep(DRAIN_POLL_S)
            if self._lease.is_revoked(package) and digest not in self._loader.loaded_names().values():
                await self._forget(digest)
            await in_own_thread(self._copies.delete, bundle)
        finally:
            del self._held[bundle], self._tasks[bundle]


def _is_gone(loader: DynamicLoader, weights_digest: WeightsDigest) -> bool:
    """Whether an unloaded adapter is freed, or kept by another bundle of equal weights."""
    kept = weights_digest in loader.loaded_names().values()
    return kept or weights_digest not in loader.get_memory_usage()["adapters"]
