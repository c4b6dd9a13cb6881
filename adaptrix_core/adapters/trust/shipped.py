"""Recognises the packages that are shipped with this installation.

By their contents, so that a copy elsewhere counts and another package of the same name does not.
"""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters.package.file_names import METADATA_FILE
from adaptrix_core.adapters.package.manifest import parse_package
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.places import shipped_adapters


def is_shipped(snapshot: Snapshot) -> bool:
    """Whether the shipped directory holds the same files, the signature included."""
    try:
        metadata = parse_package(snapshot.files.get(METADATA_FILE, b""), snapshot.origin)
    except AdapterRejected:
        return False
    return any(_holds(shipped_adapters() / name, snapshot) for name in (metadata.name, metadata.identity))


def _holds(directory: Path, snapshot: Snapshot) -> bool:
    if not directory.is_dir():
        return False
    files = {file.name: file for file in directory.iterdir() if file.is_file()}
    return files.keys() == snapshot.files.keys() and all(
        file.stat().st_size == len(snapshot.files[name]) and file.read_bytes() == snapshot.files[name]
        for name, file in files.items()
    )
