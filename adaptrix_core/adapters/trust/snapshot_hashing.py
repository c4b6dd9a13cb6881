"""Makes the model-signing library hash a `Snapshot` in memory instead of a directory on disk.

Kept apart because importing that library takes a second, which only signing and verifying should pay.
"""

from __future__ import annotations

from collections.abc import Iterable

from model_signing import hashing, manifest
from model_signing._hashing.hashing import Digest  # the digest type of the public `manifest` module

from adaptrix_core.adapters.package.snapshot import Snapshot

_FILES_SHA256 = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}


class SnapshotHashing(hashing.Config):  # type: ignore[misc]  # the library has no types
    """Hashes every file of the snapshot but the signature by SHA-256; no file can be left out."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._snapshot = snapshot
        self.was_asked = False
        """Whether `hash` was called: the verifier does so only after it has found the signature itself good."""

    def hash(
        self, model_path: hashing.PathLike, *, files_to_hash: Iterable[hashing.PathLike] | None = None
    ) -> manifest.Manifest:
        """The manifest of the snapshot; both arguments are the library's and are not used."""
        self.was_asked = True
        serialization = manifest.SerializationType.from_args(_FILES_SHA256)
        items = [
            serialization.new_item(name, Digest("sha256", bytes.fromhex(digest)))
            for name, digest in self._snapshot.file_digests.items()
        ]
        return manifest.Manifest(self._snapshot.origin, items, serialization)
