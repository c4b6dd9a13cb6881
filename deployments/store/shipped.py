"""The shipped adapters: one directory per adapter under a local directory or an fsspec URL, only ever read.

Files may come and go there at any time. A changed directory counts once it has looked the same twice in a row
(debounce), so that a copy under way is not read.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path

from adaptrix_core.adapters.package.file_names import METADATA_FILE, are_peft
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.sources.opening import open_directory
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterNotFound, AdaptrixError
from deployments.shared.entry import Entry
from deployments.store.package_files import describe, read_directory, read_unverified

logger = logging.getLogger(__name__)

Stamps = Mapping[str, Mapping[str, Hashable]]
"""By directory name and file name, a value that changes with the file."""


class ShippedAdapters:
    """The directories under one root, and the entries of those at rest."""

    def __init__(self, root: Path | str) -> None:
        self._root = open_directory(root)
        self._entries: dict[str, Entry] = {}
        """Entry by directory name; directories that cannot be read have none."""
        self._seen: Stamps = {}
        self._accepted: Stamps = {}

    def open(self) -> None:
        """Take over the present state."""
        self._accept(self._stamps())

    def look(self) -> bool:
        """Take over changes that have come to rest; whether the entries have changed. Raises OSError."""
        stamps = self._stamps()
        resting = {name: stamp for name, stamp in stamps.items() if self._seen.get(name) == stamp}
        self._seen = stamps
        kept = {name: stamp for name, stamp in self._accepted.items() if name in stamps and name not in resting}
        before = dict(self._entries)
        self._accept({**kept, **resting})
        return before != self._entries

    def entries(self) -> list[Entry]:
        """One entry for each readable adapter, by directory name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def read_package(self, bundle: BundleDigest) -> Snapshot | None:
        """The present files of the directory that had this bundle digest; None without one."""
        for name, entry in self._entries.items():
            if entry.bundle_digest == bundle:
                return self._read(name)
        return None

    def _accept(self, stamps: Stamps) -> None:
        for name in self._entries.keys() - stamps.keys():
            del self._entries[name]
        for name, stamp in stamps.items():
            if self._accepted.get(name) != stamp:
                self._describe(name)
        self._accepted = stamps

    def _describe(self, name: str) -> None:
        try:
            self._entries[name] = replace(describe(self._read(name)), shipped=True)
        except AdaptrixError as error:
            self._entries.pop(name, None)
            logger.error("shipped adapter %s cannot be read: %s", name, error.message)

    def _read(self, name: str) -> Snapshot:
        return read_unverified(self._root.child(name))

    def _stamps(self) -> Stamps:
        """Of the directories that may be adapters."""
        return {name: files for name, files in self._root.stamps().items() if METADATA_FILE in files or are_peft(files)}


def read_shared(root: Path | str, packages_dir: Path, bundle: BundleDigest) -> Snapshot:
    """The files of a bundle without the store: from its own directory, or from among the shipped adapters.

    Raises AdapterNotFound, OSError.
    """
    if (packages_dir / bundle).is_dir():
        return read_directory(packages_dir / bundle)
    shipped = ShippedAdapters(root)
    shipped.open()
    snapshot = shipped.read_package(bundle)
    if snapshot is None:
        raise AdapterNotFound(f"the shared directory holds no bundle {bundle}")
    return snapshot
