"""A composition's directory, written and read: a metadata.json that says how its parts work together, and a signature.

It has no weights but those of a learned gate, where it has one (`adapters/gates/gate_file.py`). Read in the order of an
adapter's (`format.py`): file names and sizes, revocation and signature, metadata, base identity, gate. Whether its
parts are there, and are what was signed, is found out where they are (`adaptrix_core/composition/manifests`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adaptrix_core.adapters.package.atomic import refuse_foreign_files, write_directory
from adaptrix_core.adapters.package.contents import manifest_of
from adaptrix_core.adapters.package.file_names import GATE_FILE, METADATA_FILE, SIGNATURE_FILE, is_package_file
from adaptrix_core.adapters.package.fit import BaseMatch, check_base
from adaptrix_core.adapters.package.manifest import CompositionMetadata
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.adapters.trust.signing import sign_snapshot
from adaptrix_core.digests import PackageDigest

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModelInfo, Point, PointSpec
    from adaptrix_core.injection.learned_gate import LearnedGate


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
    gate: LearnedGate | None = None
    """The learned gate over its parts, where the manifest has one."""

    @property
    def identity(self) -> str:
        """Public identity, ``name@version``."""
        return f"{self.name}@{self.version}"


def read_composition(
    snapshot: Snapshot,
    base: BaseModelInfo,
    points: Mapping[Point, PointSpec],
    *,
    trust: TrustPolicy,
    base_match: BaseMatch = "compatible",
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
        gate=gate_of(snapshot, metadata, points),
    )


def gate_of(
    snapshot: Snapshot, metadata: CompositionMetadata, points: Mapping[Point, PointSpec] | None
) -> LearnedGate | None:
    """The learned gate of a composition, where it has one. Raises as `read_gate`."""
    if metadata.gate is None:
        return None
    from adaptrix_core.adapters.gates.gate_file import read_gate  # tensors need torch, other compositions do not

    return read_gate(snapshot, metadata, points)


def write_composition(
    directory: Path,
    metadata: CompositionMetadata,
    gate: LearnedGate | None = None,
    *,
    private_key: Path | None = None,
) -> None:
    """Write a composition's directory, signed if a key is given, replacing an earlier one in one step.

    gate: the one that the manifest speaks of. Raises AdapterExists where the directory holds something else, and
    AdapterRejected for a gate that could not be read back.
    """
    refuse_foreign_files(directory, is_package_file)
    files = {METADATA_FILE: metadata.to_json()}
    if gate is not None:
        from adaptrix_core.adapters.gates.gate_file import gate_bytes

        files[GATE_FILE] = gate_bytes(gate)
    unsigned = Snapshot(directory.name, files)
    gate_of(unsigned, manifest_of(unsigned), None)
    if private_key is not None:
        files[SIGNATURE_FILE] = sign_snapshot(Snapshot(directory.name, files), private_key)
    write_directory(directory, files)
