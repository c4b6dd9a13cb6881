"""Directories behind a URL (s3://, gs://, https://, memory://, …), read through fsspec.

Read-only: object stores cannot replace a directory in one step, so publish with the store's own tools. A directory
whose listing changes while it is read is read again, as far as the file system tells of changes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from posixpath import basename
from typing import TYPE_CHECKING, Any

from adaptrix_core.adapters.package.file_rules import LEAVE, FileFacts, FileRules, read_by_rules
from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.sources.local import READ_ATTEMPTS, replaced_meanwhile
from adaptrix_core.errors import AdapterNotFound, AdapterRejected

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


_CHANGING = ("size", "ETag", "etag", "LastModified", "last_commit", "updated", "mtime", "created")
"""Fields of a file's info that change when it is written; each file system has some of them."""

Entries = Mapping[str, Mapping[str, Any]]
"""By name, what the file system tells of all that lies in a directory."""


@dataclass(frozen=True)
class UrlDirectory:
    """One directory of a remote file system."""

    location: str
    filesystem: AbstractFileSystem
    path: str
    """The location as the file system writes it."""

    @classmethod
    def open(cls, location: str) -> UrlDirectory:
        """See `AdapterSource`: AdapterNotFound for a protocol that is unknown or whose driver is not installed."""
        from fsspec.core import url_to_fs

        try:
            filesystem, path = url_to_fs(location)
        except (ValueError, ImportError) as error:
            raise AdapterNotFound(f"{location!r} cannot be opened: {error}") from error
        return cls(location.rstrip("/"), filesystem, path.rstrip("/"))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return basename(self.path)

    def child(self, name: str) -> UrlDirectory:
        """The directory ``name`` in this one."""
        return UrlDirectory(f"{self.location}/{name}", self.filesystem, f"{self.path}/{name}")

    def directories(self) -> list[UrlDirectory]:
        """The directories in here, by name; none where this one does not exist."""
        try:
            entries = self._entries()
        except AdapterNotFound:
            return []
        return [self.child(name) for name, entry in entries.items() if entry["type"] == "directory"]

    def file_names(self) -> list[str]:
        """Names of all that lies in here and is no directory."""
        return [name for name, entry in self._entries().items() if entry["type"] != "directory"]

    def stamps(self) -> dict[str, dict[str, Hashable]]:
        """For each directory in here its files' `_CHANGING` fields.

        One listing of everything below, past any cache of listings.
        """
        self.filesystem.invalidate_cache()
        found: dict[str, dict[str, Hashable]] = {}
        for path, info in self.filesystem.find(self.path, detail=True).items():
            parts = path.removeprefix(self.path).strip("/").split("/")
            if len(parts) == 2 and not parts[0].startswith("."):
                found.setdefault(parts[0], {})[parts[1]] = _stamp(info)
        return found

    def read_file(self, name: str, max_bytes: int) -> bytes:
        """One file."""
        try:
            data = self._read(name, max_bytes + 1)
        except FileNotFoundError as error:
            raise AdapterRejected(f"{self.name}: no {name}", code="missing_file") from error
        except OSError as error:
            raise self._unreadable(error) from error
        if len(data) > max_bytes:
            raise AdapterRejected(f"{self.name}: {name!r} has over {max_bytes} bytes, the limit", code="too_large")
        return data

    def snapshot(self, rules: FileRules, limits: Limits) -> Snapshot:
        """The files that ``rules`` want, as listed before and after they are read."""
        for _ in range(READ_ATTEMPTS):
            entries = self._wanted(rules)
            try:
                files = read_by_rules(self.name, entries, partial(_facts_of, entries), self._read, rules, limits)
            except FileNotFoundError:  # listed, but gone
                files = None
            except OSError as error:
                raise self._unreadable(error) from error
            self.filesystem.invalidate_cache(self.path)
            if files is not None and _stamps_of(entries) == _stamps_of(self._wanted(rules)):
                return Snapshot(self.name, files)
        raise replaced_meanwhile(self.name)

    def _read(self, name: str, max_bytes: int) -> bytes:
        with self.filesystem.open(f"{self.path}/{name}", "rb") as file:
            data: bytes = file.read(max_bytes)
        return data

    def _wanted(self, rules: FileRules) -> Entries:
        return {name: entry for name, entry in self._entries().items() if rules(name) != LEAVE}

    def _entries(self) -> Entries:
        try:
            entries = self.filesystem.ls(self.path, detail=True)
        except FileNotFoundError as error:
            raise AdapterNotFound(f"no adapter directory {self.path!r}") from error
        except OSError as error:
            raise AdapterRejected(f"{self.name}: cannot be listed: {error}", code="unreadable") from error
        named = {basename(entry["name"].rstrip("/")): entry for entry in entries}
        return {name: named[name] for name in sorted(named)}

    def _unreadable(self, error: OSError) -> AdapterRejected:
        return AdapterRejected(f"{self.name}: cannot be read: {error}", code="unreadable")


def _facts_of(entries: Entries, name: str) -> FileFacts:
    entry = entries[name]
    if entry.get("islink"):
        return FileFacts("link", None)
    return FileFacts("file" if entry["type"] == "file" else "other", entry.get("size"))


def _stamps_of(entries: Entries) -> dict[str, Hashable]:
    return {name: _stamp(entry) for name, entry in entries.items()}


def _stamp(entry: Mapping[str, Any]) -> Hashable:
    return "|".join(str(entry.get(field)) for field in _CHANGING)
