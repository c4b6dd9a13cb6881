"""Adapter directories behind a URL (s3://, gs://, https://, memory://, …), read through fsspec.

Read-only: object stores cannot replace a directory in one step, so publish with the store's own tools. Remote files are
as untrusted as local ones: the same names, sizes and signatures are checked. Knows URLs and files, not adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from posixpath import basename
from typing import TYPE_CHECKING, Any

from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


_CHANGING = ("size", "ETag", "etag", "LastModified", "last_commit", "updated", "mtime", "created")
"""Fields of a file's info that change when it is written; each file system has some of them."""


def is_url(text: object) -> bool:
    """Whether this names a remote place rather than a local path."""
    return isinstance(text, str) and "://" in text


@dataclass(frozen=True)
class RemoteDirectory:
    """One directory of a remote file system."""

    filesystem: AbstractFileSystem
    path: str

    @classmethod
    def from_url(cls, url: str) -> RemoteDirectory:
        """Open a URL. Raises AdapterNotFound for a protocol that is unknown or whose driver is not installed."""
        from fsspec.core import url_to_fs

        try:
            filesystem, path = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise AdapterNotFound(f"{url!r} cannot be opened: {error}") from error
        return cls(filesystem, path.rstrip("/"))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return basename(self.path)

    def directories(self) -> list[RemoteDirectory]:
        """The directories in here, by name; none where this one does not exist."""
        try:
            entries = self._entries()
        except AdapterNotFound:
            return []
        return [self / basename(e["name"].rstrip("/")) for e in entries if e["type"] == "directory"]

    def stamps(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """For each directory in here its files, as (name, stamp that changes with the contents). Raises OSError.

        One listing of everything below, past any cache of listings.
        """
        self.filesystem.invalidate_cache()
        found: dict[str, list[tuple[str, str]]] = {}
        for path, info in self.filesystem.find(self.path, detail=True).items():
            parts = path.removeprefix(self.path).strip("/").split("/")
            if len(parts) == 2:
                facts = [str(info.get(field)) for field in _CHANGING]
                found.setdefault(parts[0], []).append((parts[1], "|".join(facts)))
        return {name: tuple(sorted(files)) for name, files in found.items() if not name.startswith(".")}

    def __truediv__(self, name: str) -> RemoteDirectory:
        return RemoteDirectory(self.filesystem, f"{self.path}/{name}")

    def read_file(self, name: str, max_bytes: int) -> bytes:
        """One file. AdapterRejected: missing_file, too_large, unreadable."""
        try:
            with self.filesystem.open(f"{self.path}/{name}", "rb") as file:
                data: bytes = file.read(max_bytes + 1)
        except FileNotFoundError as error:
            raise AdapterRejected(f"{self.name}: no {name}", code="missing_file") from error
        except OSError as error:
            raise AdapterRejected(f"{self.name}: {name!r} cannot be read: {error}", code="unreadable") from error
        if len(data) > max_bytes:
            raise AdapterRejected(f"{self.name}: {name!r} has over {max_bytes} bytes, the limit", code="too_large")
        return data

    def read_snapshot(self, max_bytes_of: Callable[[str], int | None], limits: Limits) -> Snapshot:
        """All files, under the rules of `snapshot.read_snapshot`."""
        entries = self._entries()
        if len(entries) > limits.max_files:
            raise AdapterRejected(f"{self.name}: {len(entries)} files, limit {limits.max_files}", code="too_large")
        files: dict[str, bytes] = {}
        room = limits.max_total_bytes
        for entry in entries:
            name = basename(entry["name"].rstrip("/"))
            limit = max_bytes_of(name)
            if limit is None or entry["type"] != "file":
                raise AdapterRejected(
                    f"{self.name}: {name!r} is not a file that an adapter has; remove it", code="unexpected_file"
                )
            files[name] = self.read_file(name, min(limit, room))
            room -= len(files[name])
        return Snapshot(self.name, files)

    def _entries(self) -> list[dict[str, Any]]:
        try:
            entries = self.filesystem.ls(self.path, detail=True)
        except FileNotFoundError as error:
            raise AdapterNotFound(f"no adapter directory {self.path!r}") from error
        except OSError as error:
            raise AdapterRejected(f"{self.name}: cannot be listed: {error}", code="unreadable") from error
        return sorted(entries, key=lambda entry: str(entry["name"]))
