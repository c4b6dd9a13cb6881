"""The adapter store's disk: shipped adapters (only read) and those loaded at run time (kept across restarts).

    <state_dir>/packages/<package digest>/...     files of an adapter loaded at run time
    <state_dir>/catalogue/index.json              which of them count, and which shipped ones were unloaded

A package counts once the index names it, so a crash before that leaves no trace. Nothing here is verified: replicas do
that on the bytes they fetch. Knows no Ray.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from adaptrix_core.adapters import atomic
from adaptrix_core.adapters.snapshot import Snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdaptrixError, ConfigError
from deployments.package_files import describe, read_directory
from deployments.shipped import ShippedAdapters
from deployments.wire import Entry

logger = logging.getLogger(__name__)


def packages_directory(state_dir: Path) -> Path:
    """Where a store with this state directory keeps packages, by digest."""
    return state_dir / "packages"


class _Loaded(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    package: str
    loaded_at: int


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    loaded: tuple[_Loaded, ...] = ()
    unloaded: tuple[str, ...] = ()
    """Package digests of shipped adapters that were unloaded."""


class StoreFiles:
    """Reads and writes the store's directories. One process uses a state directory at a time."""

    def __init__(self, shipped_dir: Path | str, state_dir: Path) -> None:
        """shipped_dir: a directory, or an fsspec URL."""
        self._shipped = ShippedAdapters(shipped_dir)
        self._packages = packages_directory(state_dir)
        self._index_file = state_dir / "catalogue" / "index.json"
        self._stored: set[str] = set()
        """Digests of the packages that have files of their own under `packages/`."""
        self._index = _Index()

    def open(self) -> tuple[Entry, ...]:
        """Recover from a crash, read everything, and return the catalogue's entries. Raises ConfigError."""
        self._packages.mkdir(parents=True, exist_ok=True)
        self._index_file.parent.mkdir(parents=True, exist_ok=True)
        atomic.recover(self._packages)
        self._index = self._read_index()
        loaded = self._open_loaded()
        self._shipped.open()
        self._drop_unreferenced()
        return self.with_shipped(loaded)

    def look(self) -> bool:
        """Whether shipped adapters have come, changed or gone since last time. Raises OSError."""
        return self._shipped.look()

    def with_shipped(self, others: Iterable[Entry]) -> tuple[Entry, ...]:
        """These entries and those of shipped adapters, by identity; of two with one identity the first counts."""
        shipped = [entry for entry in self._shipped.entries() if entry.package not in self._index.unloaded]
        unique: dict[str, Entry] = {}
        for entry in (*others, *shipped):
            unique.setdefault(entry.identity, entry)
        return tuple(sorted(unique.values(), key=lambda entry: entry.identity))

    def take(self, name: str, directory: Path) -> Entry:
        """Copy ``directory`` into the store, staged: it does not count until `commit`. Raises AdapterRejected."""
        return self.take_files(name, read_directory(directory))

    def take_files(self, name: str, snapshot: Snapshot) -> Entry:
        """Write a package into the store, staged. Raises AdapterRejected."""
        entry = replace(describe(snapshot, name), staged=True)
        # A shipped package is copied too: what is loaded stays loaded when the shipped directory is hidden or changes.
        if entry.package not in self._stored:
            atomic.write_directory(self._packages / entry.package, snapshot.files)
            self._stored.add(entry.package)
        return entry

    def commit(self, entry: Entry) -> Entry:
        """Make a staged entry durable."""
        loaded = _Loaded(name=entry.name, package=entry.package, loaded_at=entry.loaded_at)
        self._write_index(self._index.model_copy(update={"loaded": (*self._index.loaded, loaded)}))
        return replace(entry, staged=False)

    def discard(self, package: str) -> None:
        """Forget a staged package, unless something else in the store uses it."""
        if package in self._stored and not self._is_loaded(package):
            self._stored.remove(package)
            atomic.remove_directory(self._packages / package)

    def remove(self, entries: Iterable[Entry]) -> None:
        """Make these entries vanish, durably. Files of shipped adapters stay; they are not listed again."""
        gone = list(entries)
        gone_loaded = {(entry.name, entry.package) for entry in gone if not entry.shipped}
        kept = tuple(item for item in self._index.loaded if (item.name, item.package) not in gone_loaded)
        hidden = (*self._index.unloaded, *(entry.package for entry in gone if entry.shipped))
        self._write_index(self._index.model_copy(update={"loaded": kept, "unloaded": hidden}))
        for entry in gone:
            self.discard(entry.package)

    def read(self, package: str) -> Snapshot:
        """The files of a package. Raises AdapterNotFound, or AdapterRejected where they changed on disk."""
        stored = package in self._stored
        snapshot = read_directory(self._packages / package) if stored else self._shipped.read(package)
        if snapshot is None:
            raise AdapterNotFound(f"the store holds no package {package}")
        if snapshot.package_digest != package:
            raise AdapterRejected(
                f"{snapshot.origin}: changed on disk meanwhile (now {snapshot.package_digest}, then {package}); "
                "the new contents are listed once the files have come to rest",
                code="changed_on_disk",
            )
        return snapshot

    def _is_loaded(self, package: str) -> bool:
        return any(item.package == package for item in self._index.loaded)

    def _open_loaded(self) -> list[Entry]:
        entries = []
        for item in self._index.loaded:
            try:
                entry = replace(
                    describe(read_directory(self._packages / item.package), item.name), loaded_at=item.loaded_at
                )
            except AdaptrixError as error:
                logger.error("adapter %s is listed but cannot be read: %s", item.name, error.message)
                continue
            self._stored.add(item.package)
            entries.append(entry)
        return entries

    def _drop_unreferenced(self) -> None:
        """Packages of loads that never ended."""
        for directory in self._packages.iterdir():
            if not self._is_loaded(directory.name):
                atomic.remove_directory(directory)

    def _read_index(self) -> _Index:
        if not self._index_file.exists():
            return _Index()
        try:
            return _Index.model_validate_json(self._index_file.read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigError(
                [f"{self._index_file} cannot be read: {error}; restore it, or delete it to forget loaded adapters"]
            ) from error

    def _write_index(self, index: _Index) -> None:
        atomic.write_file(self._index_file, index.model_dump_json(indent=1).encode())
        self._index = index
