"""The adapter store's disk: shipped adapters (only read) and those loaded at run time (kept across restarts).

    <state_dir>/packages/<bundle digest>/...      files of an adapter loaded at run time
    <state_dir>/catalogue/index.json              which of them count, and which shipped ones were unloaded

Kept by bundle digest, which covers the signature: a copy without one, or with another, never takes the place of a
verified bundle. A bundle counts once the index names it, so a crash before that leaves no trace. Nothing is verified
here: replicas verify the bytes they fetch. Knows no Ray. Any thread may call any method.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import replace
from pathlib import Path

from adaptrix_core.adapters.package import atomic
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.reference import version_key
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdaptrixError
from deployments.shared.entry import PUBLIC, Audience, Entry, LoadCall
from deployments.store.index import Index, Loaded, read_index, write_index
from deployments.store.package_files import describe, read_directory
from deployments.store.shipped import ShippedAdapters

logger = logging.getLogger(__name__)


def packages_directory(state_dir: Path) -> Path:
    """The directory of packages, by bundle digest, in a store's state directory."""
    return state_dir / "packages"


class StoreFiles:
    """Reads and writes the store's directories. One process uses a state directory at a time."""

    def __init__(self, shipped_dir: Path | str, state_dir: Path) -> None:
        """shipped_dir: a directory, or an fsspec URL."""
        self._shipped = ShippedAdapters(shipped_dir)
        self._packages = packages_directory(state_dir)
        self._index_file = state_dir / "catalogue" / "index.json"
        self._lock = threading.Lock()
        self._stored: set[BundleDigest] = set()
        """The bundles that have files under `packages/`."""
        self._staged: Counter[BundleDigest] = Counter()
        """Number of entries of a bundle that were taken and neither committed nor discarded yet."""
        self._index = Index()

    def open(self) -> tuple[Entry, ...]:
        """Recover from a crash, read everything, and return the catalogue's entries. Raises ConfigError."""
        self._packages.mkdir(parents=True, exist_ok=True)
        self._index_file.parent.mkdir(parents=True, exist_ok=True)
        atomic.recover(self._packages)
        self._index = read_index(self._index_file, self._packages)
        loaded = self._open_loaded()
        self._shipped.open()
        self._drop_unreferenced()
        return self.with_shipped(loaded)

    def look(self) -> bool:
        """Whether shipped adapters have come, changed or gone since last time. Raises OSError."""
        return self._shipped.look()

    def with_shipped(self, others: Iterable[Entry]) -> tuple[Entry, ...]:
        """These entries and those of shipped adapters, by identity, shipped ones first."""
        shipped = [entry for entry in self._shipped.entries() if entry.package_digest not in self._index.unloaded]
        return tuple(sorted((*shipped, *others), key=lambda entry: (entry.identity, entry.tenant)))

    def unloaded(self, present: Set[str]) -> tuple[str, ...]:
        """Names of shipped adapters that were unloaded, without those that another version still serves."""
        hidden = {entry.name for entry in self._shipped.entries() if entry.package_digest in self._index.unloaded}
        return tuple(sorted(hidden - present))

    def stage(self, wanted: LoadCall) -> Entry:
        """Copy a directory into the store, staged: it does not count until `commit`. Raises AdapterRejected."""
        return self.take_files(wanted.name, read_directory(Path(wanted.path)), wanted.audience, wanted.place)

    def take_files(self, shown: str, snapshot: Snapshot, audience: Audience = PUBLIC, place: str = "") -> Entry:
        """Write a package into the store, staged. Raises AdapterRejected.

        shown: the name that clients see. place: the path as it was given.
        """
        entry = replace(audience.of(describe(snapshot, shown)), staged=True, place=place)
        with self._lock:
            # A shipped bundle is copied too: under another name it stays loaded when the shipped directory changes.
            if entry.bundle_digest not in self._stored:
                atomic.write_directory(self._packages / entry.bundle_digest, snapshot.files)
                self._stored.add(entry.bundle_digest)
            self._staged[entry.bundle_digest] += 1
        return entry

    def take_shipped(self, wanted: LoadCall) -> Entry:
        """As `stage`, of the newest version of the shipped adapter whose name is the path. Raises AdapterNotFound."""
        versions = [entry for entry in self._shipped.entries() if entry.name == wanted.path]
        newest = max(versions, key=lambda entry: version_key(entry.version), default=None)
        snapshot = None if newest is None else self._shipped.read_package(newest.bundle_digest)
        if snapshot is None:
            raise AdapterNotFound(f"no shipped adapter is called {wanted.path!r} any more", param="lora_path")
        return self.take_files(wanted.name, snapshot, wanted.audience)

    def commit(self, entry: Entry, replaced: Iterable[Entry] = ()) -> Entry:
        """Make a staged entry durable; a shipped adapter that was unloaded before is simply listed again.

        replaced: loaded entries that vanish in the same step.
        """
        gone = list(replaced)
        with self._lock:
            kept = self._without(gone)
            listed = next((shipped for shipped in self._shipped.entries() if _is_same(shipped, entry)), None)
            if listed is not None:
                unloaded = tuple(package for package in self._index.unloaded if package != entry.package_digest)
                self._write(self._index.model_copy(update={"loaded": kept, "unloaded": unloaded}))
            else:
                self._write(self._index.model_copy(update={"loaded": (*kept, _loaded(entry))}))
            self._staged[entry.bundle_digest] -= 1
            for other in (entry, *gone):
                self._drop_unused(other.bundle_digest)
        return listed or replace(entry, staged=False)

    def discard(self, entry: Entry) -> None:
        """Forget a staged entry."""
        with self._lock:
            self._staged[entry.bundle_digest] -= 1
            self._drop_unused(entry.bundle_digest)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Make these entries vanish, durably. Files of shipped adapters stay; they are not listed again."""
        gone = list(entries)
        with self._lock:
            kept = self._without(entry for entry in gone if not entry.shipped)
            hidden = (*self._index.unloaded, *(entry.package_digest for entry in gone if entry.shipped))
            self._write(self._index.model_copy(update={"loaded": kept, "unloaded": hidden}))
            for entry in gone:
                self._drop_unused(entry.bundle_digest)

    def share(self, entries: Iterable[Entry]) -> None:
        """Write down, durably, that these loaded entries are seen by whom they say."""
        changed = list(entries)
        with self._lock:
            kept = self._without(changed)
            self._write(self._index.model_copy(update={"loaded": (*kept, *map(_loaded, changed))}))

    def read_package(self, bundle: BundleDigest) -> Snapshot:
        """The files of a bundle. Raises AdapterNotFound, or AdapterRejected where they changed on disk."""
        stored = bundle in self._stored
        snapshot = read_directory(self._packages / bundle) if stored else self._shipped.read_package(bundle)
        if snapshot is None:
            raise AdapterNotFound(f"the store holds no bundle {bundle}")
        if snapshot.bundle_digest != bundle:
            raise AdapterRejected(
                f"{snapshot.origin}: changed on disk since it was listed (now {snapshot.bundle_digest}, not {bundle}); "
                "the new contents are listed once the files stop changing",
                code="changed_on_disk",
            )
        return snapshot

    def _without(self, gone: Iterable[Entry]) -> tuple[Loaded, ...]:
        """What is loaded besides these entries."""
        left = {(entry.tenant, entry.own_name, entry.bundle_digest) for entry in gone}
        return tuple(item for item in self._index.loaded if (item.tenant, item.name, item.bundle) not in left)

    def _is_loaded(self, bundle: BundleDigest) -> bool:
        return any(item.bundle == bundle for item in self._index.loaded)

    def _open_loaded(self) -> list[Entry]:
        entries = []
        for item in self._index.loaded:
            try:
                described = describe(read_directory(self._packages / item.bundle), item.name)
            except AdaptrixError as error:
                logger.error("adapter %s is listed but cannot be read: %s", item.name, error.message)
                continue
            # By the index's digest, whatever the files are now: replicas then refuse changed files.
            kept = replace(described, bundle_digest=item.bundle, loaded_at=item.loaded_at, place=item.place)
            entries.append(item.audience.of(kept))
            self._stored.add(item.bundle)
        return entries

    def _drop_unused(self, bundle: BundleDigest) -> None:
        if bundle in self._stored and not self._is_loaded(bundle) and self._staged[bundle] <= 0:
            self._stored.remove(bundle)
            atomic.remove_directory(self._packages / bundle)

    def _drop_unreferenced(self) -> None:
        """Delete the packages of loads that never ended."""
        for directory in self._packages.iterdir():
            if not self._is_loaded(BundleDigest(directory.name)):
                atomic.remove_directory(directory)

    def _write(self, index: Index) -> None:
        write_index(self._index_file, index)
        self._index = index


def _is_same(shipped: Entry, entry: Entry) -> bool:
    return not entry.tenant and (shipped.identity, shipped.bundle_digest) == (entry.identity, entry.bundle_digest)


def _loaded(entry: Entry) -> Loaded:
    return Loaded(
        name=entry.own_name,
        bundle=entry.bundle_digest,
        loaded_at=entry.loaded_at,
        place=entry.place,
        tenant=entry.tenant,
        shared_with=entry.shared_with,
    )
