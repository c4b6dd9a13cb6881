"""A composition's directory, written and read: a metadata.json that says how its parts work together, and a signature.

It has no weights. Read in the order of an adapter's (`format.py`): file names and sizes, revocation and signature,
metadata, base identity. Whether its parts are there, and are what was signed, is found out where they are
(`adaptrix_core/composition/manifests`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adaptrix_core.adapters.package.atomic import refuse_foreign_files, write_directory
from adaptrix_core.adapters.package.contents import manifest_of
from adaptrix_core.adapters.package.file_names import METADATA_FILE, SIGNATURE_FILE, is_package_file
from adaptrix_core.adapters.package.fit import BaseMatch, check_base
from adaptrix_core.adapters.package.manifest import CompositionMetadata
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.adapters.trust.signing import sign_snapshot
from adaptrix_core.digests import PackageDigest

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModelInfo


@dataclass(frozen=True)
class Composition:
    """A composition whose signature and manifest were checked; its parts may be anywhere."""

    name: str
    version: str
    metadata: CompositionMetadata
    package_digest: PackageDigest
    """SHA-256 over the directory's files but the signature; it covers the parts' digests."""
    signer: str | None
    """Name of the trusted key that signed it, None where nothing was verified."""
    warnings: tuple[str, ...] = ()
    """Warnings for users, each beginning with a code and a colon."""
    signer_key: str | None = None
    """Fingerprint of the signer's key."""

    @property
    def identity(self) -> str:
        """Public identity, ``name@version``."""
        return f"{self.name}@{self.version}"


def read_composition(
    snapshot: Snapshot, base: BaseModelInfo, *, trust: TrustPolicy, base_match: BaseMatch = "compatible"
) -> Composition:
    """Check the files of a composition. Raises AdapterRejected with a code of `error_codes.PACKAGE`."""
    trusted = trust.check(snapshot)
    metadata = manifest_of(snapshot)
    warnings = check_base(metadata, base, base_match)
    return Composition(
        name=metadata.name,
        version=metadata.version,
        metadata=metadata,
        package_digest=snapshot.package_digest,
        signer=trusted.signer,
        warnings=(*trusted.warnings, *warnings),
        signer_key=trusted.signer_key,
    )


def write_composition(directory: Path, metadata: CompositionMetadata, *, private_key: Path | None = None) -> None:
    """Write a composition's directory, signed if a key is given, replacing an earlier one in one step.

    Raises AdapterExists where the directory holds something else.
    """
    refuse_foreign_files(directory, is_package_file)
    files = {METADATA_FILE: metadata.to_json()}
    if private_key is not None:
        files[SIGNATURE_FILE] = sign_snapshot(Snapshot(directory.name, files), private_key)
    write_directory(directory, files)
