"""Reads a directory into memory, once, so that all later steps work on the same bytes.

Signature check, size and shape checks, and the load itself all use one `Snapshot`: nothing can change between check
and use. Knows files and names, not their contents. Not covered: a hard link to a file elsewhere (it looks like any
other file; its bytes still have to pass the signature).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.digests import BundleDigest, PackageDigest
from adaptrix_core.errors import AdapterNotFound, AdapterRejected

SIGNATURE_FILE = "signature.json"
REVOCATIONS_FILE = "revocations.json"
"""File name of the list of revoked packages (`adapters/trust/revocation.py`), which is signed like an adapter."""
_READ_ATTEMPTS = 5


@dataclass(frozen=True)
class Snapshot:
    """The files of one directory, as they were at one moment."""

    origin: str
    """The directory's name, for messages."""
    files: Mapping[str, bytes]

    @cached_property
    def file_digests(self) -> dict[str, str]:
        """SHA-256 (hex) of every file except the signature, which cannot cover itself. Sorted by name."""
        return {n: sha256(self.files[n]).hexdigest() for n in sorted(self.files) if n != SIGNATURE_FILE}

    @cached_property
    def package_digest(self) -> PackageDigest:
        """SHA-256 over names and contents of all files but the signature: re-signing does not change it."""
        digest = sha256(b"adaptrix-package-v1")
        for name, file_digest in self.file_digests.items():
            encoded = name.encode()
            digest.update(len(encoded).to_bytes(8, "little") + encoded + bytes.fromhex(file_digest))
        return PackageDigest(digest.hexdigest())

    @cached_property
    def bundle_digest(self) -> BundleDigest:
        """SHA-256 over all files, the signature included: one package under two signatures is two bundles."""
        signature = self.files.get(SIGNATURE_FILE)
        signed = b"unsigned" if signature is None else b"signed:" + sha256(signature).digest()
        return BundleDigest(sha256(b"adaptrix-bundle-v1" + bytes.fromhex(self.package_digest) + signed).hexdigest())


def read_snapshot(
    directory: Path, max_bytes_of: Callable[[str], int | None], limits: Limits = DEFAULT_LIMITS
) -> Snapshot:
    """Read every file of ``directory``.

    max_bytes_of: size limit of a file by its name; None where a file of that name must not be there.
    Raises AdapterNotFound, or AdapterRejected: symlink, unexpected_file (unknown name, directory, device), too_large.
    """
    if not directory.name:
        directory = directory.resolve()
    for _ in range(_READ_ATTEMPTS):
        fd = _open_directory(directory)
        try:
            files = _read_files(fd, directory.name, max_bytes_of, limits)
            if _still_there(directory, fd):
                return Snapshot(directory.name, files)
        except FileNotFoundError:
            if _still_there(directory, fd):
                raise
        finally:
            os.close(fd)
    raise AdapterRejected(
        f"{directory.name}: replaced {_READ_ATTEMPTS} times while it was read; try again", code="unreadable"
    )


def read_file(directory: Path, name: str, max_bytes: int) -> bytes:
    """One file of ``directory``, under the rules of `read_snapshot`."""
    fd = _open_directory(directory)
    try:
        return _read_file(fd, directory.name, name, max_bytes, max_bytes)
    except FileNotFoundError as error:
        raise AdapterRejected(f"{directory.name}: no {name}", code="missing_file") from error
    finally:
        os.close(fd)


def beginning_of_file(directory: Path, name: str, max_bytes: int) -> bytes:
    """The first bytes of a plain file of ``directory``; none where there is no such file."""
    try:
        fd = os.open(directory / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read(max_bytes) if stat.S_ISREG(os.fstat(fd).st_mode) else b""


def _open_directory(directory: Path) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise _cannot_open(directory, error) from error


def _still_there(directory: Path, fd: int) -> bool:
    """Whether the path still leads to the open directory; if not, a writer has put a new version in its place."""
    try:
        return os.path.samestat(os.stat(directory), os.fstat(fd))
    except FileNotFoundError:
        return False


def _read_files(fd: int, origin: str, max_bytes_of: Callable[[str], int | None], limits: Limits) -> dict[str, bytes]:
    names = sorted(os.listdir(fd))
    if len(names) > limits.max_files:
        raise AdapterRejected(f"{origin}: {len(names)} files, limit {limits.max_files}", code="too_large")
    files: dict[str, bytes] = {}
    room = limits.max_total_bytes
    for name in names:
        files[name] = _read_file(fd, origin, name, max_bytes_of(name), room)
        room -= len(files[name])
    return files


def _cannot_open(directory: Path, error: OSError) -> Exception:
    if directory.is_symlink():
        return AdapterRejected(f"{directory.name}: is a symbolic link; give the directory itself", code="symlink")
    if error.errno == errno.ENOENT:
        return AdapterNotFound(f"no adapter directory {str(directory)!r}")
    return AdapterRejected(f"{directory.name}: cannot be opened as a directory ({error.strerror})", code="unreadable")


def _read_file(directory_fd: int, origin: str, name: str, limit: int | None, room: int) -> bytes:
    info = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    if stat.S_ISLNK(info.st_mode):
        raise AdapterRejected(f"{origin}: {name!r} is a symbolic link; adapters hold plain files only", code="symlink")
    if limit is None or not stat.S_ISREG(info.st_mode):
        kind = "not a plain file" if not stat.S_ISREG(info.st_mode) else "not a file that an adapter has"
        raise AdapterRejected(f"{origin}: {name!r} is {kind}; remove it", code="unexpected_file")
    allowed = min(limit, room)
    # O_NOFOLLOW and the read of at most `allowed + 1` bytes hold even if the file is replaced or grows under us.
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory_fd)
    with os.fdopen(fd, "rb") as file:
        data = file.read(allowed + 1) if info.st_size <= allowed else b""
    if info.st_size > allowed or len(data) > allowed:
        raise AdapterRejected(
            f"{origin}: {name!r} has {max(info.st_size, len(data))} bytes, limit {allowed}", code="too_large"
        )
    return data
