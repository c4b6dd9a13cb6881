"""The bytes of an adapter's files at one moment, so that all later steps work on the same bytes.

Signature check, size and shape checks, and the load itself all use one `Snapshot`: nothing can change between check
and use, and nothing is hashed twice. Knows names and bytes, not their contents; `adapters/sources/` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE, are_peft
from adaptrix_core.digests import BundleDigest, PackageDigest


@dataclass(frozen=True)
class Snapshot:
    """The files of one directory, as they were at one moment."""

    origin: str
    """The directory's name, for messages."""
    files: Mapping[str, bytes]

    @property
    def is_peft(self) -> bool:
        """Whether these are the files of a PEFT adapter, which carries no signature; else of one of ours, if any."""
        return are_peft(self.files)

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
