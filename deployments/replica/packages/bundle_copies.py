"""The replica's own copies of bundles on its disk: verified when they come, and again whenever they are read.

Any thread may call any method; no two for one bundle at a time.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.package.atomic import write_directory
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.adapters.package.contents import is_composition
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.residency.loader import DynamicLoader
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterRejected
from deployments.shared.entry import Entry


class BundleCopies:
    """One directory for each bundle, in which the loader reads an adapter again after an eviction."""

    def __init__(self, directory: Path, loader: DynamicLoader) -> None:
        self._dir = directory
        self._loader = loader

    def accept(self, entry: Entry, snapshot: Snapshot) -> Adapter | Composition:
        """Verify the bytes that came, and load an adapter; they are on disk first, since others may evict them at once.

        Raises AdapterRejected: wrong_package where they are not the entry's, and as `DynamicLoader.load`.
        """
        if (snapshot.bundle_digest, snapshot.package_digest) != (entry.bundle_digest, entry.package_digest):
            raise AdapterRejected(
                f"{entry.identity}: the store sent bundle {snapshot.bundle_digest} of package "
                f"{snapshot.package_digest}, not {entry.bundle_digest} of {entry.package_digest}",
                code="wrong_package",
            )
        # The directory has the package's name because messages are named after it, whoever calls it how.
        directory = self._dir / entry.bundle_digest / entry.package_name
        write_directory(directory, snapshot.files)
        try:
            if is_composition(snapshot):
                return self._loader.verify(directory)
            return self._loader.load(directory, entry.bundle_digest, snapshot)
        except BaseException:
            shutil.rmtree(directory.parent)
            raise

    def verify_again(self, entry: Entry) -> Adapter | Composition:
        """Verify a copy by the keys of today. Raises AdapterRejected, OSError."""
        (directory,) = (self._dir / entry.bundle_digest).iterdir()
        return self._loader.verify(directory)

    def discard(self, bundle: BundleDigest) -> None:
        """Undo `accept`."""
        if self._loader.is_loaded(bundle):
            self._loader.unload(bundle)
        self.delete(bundle)

    def delete(self, bundle: BundleDigest) -> None:
        """Delete a copy, if there is one."""
        shutil.rmtree(self._dir / bundle, ignore_errors=True)
