"""The adapter store's disk: shipped adapters (only read) and those loaded at run time (kept across restarts).

    <state_dir>/packages/<package digest>/...     files of an adapter loaded at run time
    <state_dir>/catalogue/index.json              which of them count, and which shipped ones were unloaded

A package counts once the index names it, so a crash before that leaves no trace. Nothing here is verified: replicas do
that on the bytes they fetch. Knows no Ray.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from adaptrix_core.adapters import atomic
from adaptrix_core.adapters.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.metadata import AdapterMetadata, parse_metadata
from adaptrix_core.adapters.snapshot import Snapshot, read_snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdaptrixError, ConfigError
from deployments.wire import Entry

logger = logging.getLogger(__name__)

METADATA_FILE = "metadata.json"
PEFT_FILE = "adapter_config.json"
PEFT_VERSION = "0"
"""PEFT directories carry no version; they are only loadable where the trust policy is off."""


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

    def __init__(self, shipped_dir: Path, state_dir: Path) -> None:
        self._shipped_dir = shipped_dir
        self._packages = state_dir / "packages"
        self._index_file = state_dir / "catalogue" / "index.json"
        self._shipped: dict[str, Path] = {}
        """Package digest to its shipped directory."""
        self._stored: set[str] = set()
        """Digests of the packages that have files of their own under `packages/`."""
        self._index = _Index()

    def open(self) -> tuple[Entry, ...]:
        """Recover from a crash, read everything, and return the catalogue's entries. Raises ConfigError."""
        self._packages.mkdir(parents=True, exist_ok=True)
        self._index_file.parent.mkdir(parents=True, exist_ok=True)
        atomic.recover(self._packages)
        self._index = self._read_index()
        entries = [*self._open_loaded(), *self._open_shipped()]
        self._drop_unreferenced()
        unique = {entry.identity: entry for entry in reversed(entries)}
        return tuple(sorted(unique.values(), key=lambda entry: entry.identity))

    def take(self, name: str, directory: Path) -> Entry:
        """Copy ``directory`` into the store, staged: it does not count until `commit`. Raises AdapterRejected."""
        snapshot = _read(directory)
        entry = replace(_describe(snapshot, name), staged=True)
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
        directory = self._packages / package if package in self._stored else self._shipped.get(package)
        if directory is None:
            raise AdapterNotFound(f"the store holds no package {package}")
        snapshot = _read(directory)
        if snapshot.package_digest != package:
            raise AdapterRejected(
                f"{directory.name}: changed on disk since the store started (now {snapshot.package_digest}, then "
                f"{package}); restart the server to use the new contents",
                code="changed_on_disk",
            )
        return snapshot

    def _is_loaded(self, package: str) -> bool:
        return any(item.package == package for item in self._index.loaded)

    def _open_loaded(self) -> list[Entry]:
        entries = []
        for item in self._index.loaded:
            try:
                entry = replace(_describe(_read(self._packages / item.package), item.name), loaded_at=item.loaded_at)
            except AdaptrixError as error:
                logger.error("adapter %s is listed but cannot be read: %s", item.name, error.message)
                continue
            self._stored.add(item.package)
            entries.append(entry)
        return entries

    def _open_shipped(self) -> list[Entry]:
        entries = []
        for directory in sorted(self._shipped_dir.iterdir()):
            if not any((directory / file).is_file() for file in (METADATA_FILE, PEFT_FILE)):
                continue
            try:
                entry = replace(_describe(_read(directory), None), shipped=True)
            except AdaptrixError as error:
                logger.error("shipped adapter %s cannot be read: %s", directory.name, error.message)
                continue
            if entry.package in self._index.unloaded:
                continue
            self._shipped[entry.package] = directory
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


def _read(directory: Path) -> Snapshot:
    """The files that make the adapter up: of a PEFT directory two, as replicas read it, so that digests agree."""
    if (directory / PEFT_FILE).is_file() and not (directory / METADATA_FILE).exists():
        # Imports torch, which the store does without unless there is such a directory.
        from adaptrix_core.adapters.peft import peft_snapshot

        return peft_snapshot(directory)
    return read_snapshot(directory, lambda _name: DEFAULT_LIMITS.max_file_bytes)


def _describe(snapshot: Snapshot, name: str | None) -> Entry:
    """The catalogue entry of a package, from what it says about itself. ``name`` overrides the name it gives itself."""
    metadata = _metadata(snapshot)
    return Entry(
        name=name or (metadata.name if metadata else snapshot.origin),
        version=metadata.version if metadata else PEFT_VERSION,
        package=snapshot.package_digest,
        description=metadata.description if metadata else "",
        examples=metadata.routing_examples if metadata else (),
        loaded_at=int(time.time()),
        revision=secrets.token_hex(8),
    )


def _metadata(snapshot: Snapshot) -> AdapterMetadata | None:
    """What the package says about itself; None for a PEFT directory, which says nothing."""
    data = snapshot.files.get(METADATA_FILE)
    if data is not None:
        return parse_metadata(data, snapshot.origin)
    if PEFT_FILE in snapshot.files:
        return None
    raise AdapterRejected(
        f"{snapshot.origin}: neither {METADATA_FILE} nor {PEFT_FILE} is in it; give the directory of one adapter",
        code="not_an_adapter",
    )
