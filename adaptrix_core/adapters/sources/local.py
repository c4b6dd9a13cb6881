"""Directories of the local file system.

Protects the reader from whoever may write there: no link is followed, nothing is read but plain files, at most so many
bytes of each, and a directory that is replaced meanwhile is read again. Not covered: a hard link to a file elsewhere
(it looks like any other file; its bytes still have to pass the signature), and changes within one file.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.adapters.package.file_rules import FileFacts, FileRule, FileRules, read_by_rules
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected

READ_ATTEMPTS = 5
"""Times that a directory is read because it was replaced meanwhile."""


@dataclass(frozen=True)
class LocalDirectory:
    """One directory."""

    path: Path

    @classmethod
    def open(cls, location: str) -> LocalDirectory:
        """See `AdapterSource`."""
        return cls(Path(location))

    @property
    def name(self) -> str:
        """The last part of the path; of ``.`` that of the directory it means."""
        return self.path.name or self.path.resolve().name

    @property
    def location(self) -> str:
        """The path."""
        return str(self.path)

    def child(self, name: str) -> LocalDirectory:
        """The directory ``name`` in this one."""
        return LocalDirectory(self.path / name)

    def directories(self) -> list[LocalDirectory]:
        """The directories in this one, by name; links to directories are among them, and refused when they are read."""
        if not self.path.is_dir():
            return []
        with os.scandir(self.path) as entries:
            return [self.child(name) for name in sorted(entry.name for entry in entries if entry.is_dir())]

    def file_names(self) -> list[str]:
        """Names of all that lies in here and is no directory."""
        fd = self._open()
        try:
            with os.scandir(fd) as entries:
                return sorted(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
        finally:
            os.close(fd)

    def stamps(self) -> dict[str, dict[str, Hashable]]:
        """For each directory in here its files' sizes, times of change, and inodes."""
        stamps: dict[str, dict[str, Hashable]] = {}
        for directory in os.scandir(self.path):
            try:
                if not directory.name.startswith(".") and directory.is_dir(follow_symlinks=False):
                    facts = {file.name: file.stat(follow_symlinks=False) for file in os.scandir(directory)}
                    stamps[directory.name] = {n: (s.st_size, s.st_mtime_ns, s.st_ino) for n, s in facts.items()}
            except FileNotFoundError:  # removed meanwhile
                continue
        return stamps

    def read_file(self, name: str, max_bytes: int) -> bytes:
        """One file, under the same protections as all."""
        fd = self._open()
        try:
            rule, limits = FileRule("whole", max_bytes), Limits(max_total_bytes=max_bytes)
            return _read(fd, self.name, [name], lambda _name: rule, limits)[name]
        except FileNotFoundError as error:
            raise AdapterRejected(f"{self.name}: no {name}", code="missing_file") from error
        finally:
            os.close(fd)

    def snapshot(self, rules: FileRules, limits: Limits = DEFAULT_LIMITS) -> Snapshot:
        """The files that ``rules`` want, all of one directory: never some of an old version and some of a new one."""
        for _ in range(READ_ATTEMPTS):
            fd = self._open()
            try:
                files = _read(fd, self.name, os.listdir(fd), rules, limits)
                if self._is_open_as(fd):
                    return Snapshot(self.name, files)
            except FileNotFoundError:
                if self._is_open_as(fd):
                    raise
            finally:
                os.close(fd)
        raise replaced_meanwhile(self.name)

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise self._cannot_open(error) from error

    def _is_open_as(self, fd: int) -> bool:
        """Whether the path still leads to the open directory; if not, a writer has put a new version in its place."""
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _cannot_open(self, error: OSError) -> Exception:
        if self.path.is_symlink():
            return AdapterRejected(f"{self.name}: is a symbolic link; give the directory itself", code="symlink")
        if error.errno == errno.ENOENT:
            return AdapterNotFound(f"no adapter directory {self.location!r}")
        return AdapterRejected(f"{self.name}: cannot be opened as a directory ({error.strerror})", code="unreadable")


def replaced_meanwhile(origin: str) -> AdapterRejected:
    """The error for a directory whose files change faster than they are read."""
    return AdapterRejected(f"{origin}: replaced {READ_ATTEMPTS} times while it was read; try again", code="unreadable")


def _read(fd: int, origin: str, names: list[str], rules: FileRules, limits: Limits) -> dict[str, bytes]:
    """Files of an open directory."""

    def look(name: str) -> FileFacts:
        info = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISREG(info.st_mode):
            return FileFacts("file", info.st_size)
        return FileFacts("link" if stat.S_ISLNK(info.st_mode) else "other", None)

    def read(name: str, max_bytes: int) -> bytes:
        # O_NOFOLLOW and the read of a limited number of bytes hold even if the file is replaced or grows under us.
        file_fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
        with os.fdopen(file_fd, "rb") as file:
            return file.read(max_bytes)

    return read_by_rules(origin, names, look, read, rules, limits)
