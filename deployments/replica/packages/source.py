"""Fetches bundles from the store, or from the shared directory where the store cannot deliver.

Neither is trusted: `Holdings` verifies all bytes. Here only the digest is compared, to know when to try the other.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterRejected
from deployments.shared.own_thread import in_own_thread
from deployments.shared.single_flight import SingleFlight

logger = logging.getLogger(__name__)

Files = Mapping[str, bytes]
"""Contents by name, as they come over the wire."""


class PackageSource:
    """The store first, then the shared directory."""

    def __init__(
        self,
        ask_store: Callable[[BundleDigest], Awaitable[Files]],
        ask_directory: Callable[[BundleDigest], Snapshot],
    ) -> None:
        self._ask_store = ask_store
        self._ask_directory = ask_directory
        self._reads: SingleFlight[BundleDigest, Snapshot] = SingleFlight()
        """Of the shared directory: a read that hangs is joined, not started again."""

    async def fetch(self, bundle: BundleDigest, name: str) -> Snapshot:
        """A bundle, hashed. Raises the store's error where the shared directory does not have it either.

        name: the adapter's, for messages.
        """
        try:
            return await self._checked(Snapshot(name, await self._ask_store(bundle)), bundle)
        except Exception as error:  # lost, or wrong in any way: the directory is asked instead
            logger.warning("the adapter store did not deliver bundle %s: %s", bundle, error)
            try:
                snapshot = await self._reads.do(bundle, lambda: in_own_thread(self._ask_directory, bundle))
                return await self._checked(Snapshot(name, snapshot.files), bundle)
            except Exception as other:
                logger.warning("nor did the shared directory: %s", other)
            raise

    async def _checked(self, snapshot: Snapshot, bundle: BundleDigest) -> Snapshot:
        digest = await in_own_thread(lambda: snapshot.bundle_digest)
        if digest != bundle:
            raise AdapterRejected(f"asked for bundle {bundle}, got {digest}", code="wrong_package")
        return snapshot
