"""Replaces a directory in one step: a crash at any moment leaves the old contents or the new ones, never a mixture.

Knows directories of files, not adapters. New contents are written beside the target, flushed to disk, then renamed
over it (Linux `renameat2` and macOS `renamex_np` exchange two directories in one system call). Where the file system
has no such call, two renames are used and `recover` undoes a crash between them.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adaptrix_core.errors import AdapterExists

_STAGED, _OLD, _GONE = ".staged-", ".old-", ".gone-"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_RENAME_SWAP = 2


def write_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """Make ``target`` hold exactly ``files`` (contents by name), replacing earlier contents. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(target.parent):
        _sweep(target.parent)
        staged = target.parent / f"{_STAGED}{secrets.token_hex(8)}"
        staged.mkdir()
        try:
            for name, data in files.items():
                _write_synced(staged / name, data)
            _sync_directory(staged)
            _swap_in(staged, target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        _sync_directory(target.parent)


def refuse_foreign_files(target: Path, is_ours: Callable[[str], bool]) -> None:
    """Raise AdapterExists where replacing ``target`` would delete files for which ``is_ours`` is False."""
    foreign = sorted(name for name in os.listdir(target) if not is_ours(name)) if target.is_dir() else []
    if foreign:
        raise AdapterExists(
            f"directory {target.name!r} holds other files ({', '.join(foreign[:3])}) and would be replaced as a whole; "
            "name a new directory"
        )


def write_file(target: Path, data: bytes) -> None:
    """Replace one file in one step. The staging file lies beside the file's directory, so a listing never shows it."""
    with _locked(target.parent.parent):
        staged = target.parent.parent / f"{_STAGED}{secrets.token_hex(8)}"
        try:
            _write_synced(staged, data)
            os.replace(staged, target)
        finally:
            staged.unlink(missing_ok=True)
        _sync_directory(target.parent)


def remove_directory(target: Path) -> None:
    """Remove ``target``: it vanishes in one step, then its files are deleted. Raises FileNotFoundError."""
    with _locked(target.parent):
        gone = target.parent / f"{_GONE}{secrets.token_hex(8)}"
        os.rename(target, gone)
        _sync_directory(target.parent)
        shutil.rmtree(gone, ignore_errors=True)


def recover(parent: Path) -> None:
    """Finish or undo writes that a crash has interrupted in ``parent``. Cheap where there are none."""
    if any(name.startswith((_STAGED, _OLD, _GONE)) for name in os.listdir(parent)):
        with _locked(parent):
            _sweep(parent)


@contextmanager
def _locked(parent: Path) -> Iterator[None]:
    """Admit one writer at a time per parent directory, over all processes; the lock ends with its holder."""
    fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _sweep(parent: Path) -> None:
    """Delete staging files: under the lock, every one is a leftover of a writer that has died."""
    for name in os.listdir(parent):
        leftover = parent / name
        if name.startswith(_OLD):
            _restore(leftover, parent / name.removeprefix(_OLD))
        elif name.startswith((_STAGED, _GONE)):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def _restore(old: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(old, target)


def _swap_in(staged: Path, target: Path) -> None:
    """Put ``staged`` in the place of ``target``; ``staged`` may be left with the old contents."""
    if not target.exists():
        os.rename(staged, target)
    elif not exchange(staged, target):
        old = target.parent / f"{_OLD}{target.name}"
        os.rename(target, old)
        os.rename(staged, target)
        shutil.rmtree(old, ignore_errors=True)


def exchange(first: Path, second: Path) -> bool:
    """Swap two directories in one system call; False where the platform or the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    a, b = os.fsencode(first), os.fsencode(second)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        return bool(libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _RENAME_EXCHANGE) == 0)
    if sys.platform == "darwin":
        return bool(libc.renamex_np(a, b, _RENAME_SWAP) == 0)
    return False


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
