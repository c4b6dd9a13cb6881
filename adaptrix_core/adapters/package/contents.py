"""Reads an adapter directory and its metadata before any tensor is made: nothing here needs torch.

Errors and their codes are those of `format.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from pathlib import Path
from typing import TYPE_CHECKING

from adaptrix_core.adapters.package.atomic import write_file
from adaptrix_core.adapters.package.file_names import (
    GATE_FILE,
    LAYER_FILE,
    METADATA_FILE,
    SIGNATURE_FILE,
    TEXT_FILES,
    are_peft,
    is_package_file,
)
from adaptrix_core.adapters.package.file_rules import REFUSE, FileFacts, FileRule, FileRules, read_by_rules
from adaptrix_core.adapters.package.fit import Announced, check_ranks
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.manifest import AnyMetadata, CompositionMetadata, is_manifest, parse_package
from adaptrix_core.adapters.package.metadata import AdapterMetadata, parse_as, parse_metadata, parse_point
from adaptrix_core.adapters.package.safetensors_header import TensorEntry, read_header
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.peft.directory import foreign_kind, peft_copy_rules, peft_snapshot
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.sources.protocol import AdapterDirectory
from adaptrix_core.adapters.trust.signing import sign_snapshot
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterRejected

if TYPE_CHECKING:
    from adaptrix_core.base import Point

SUFFIX_A, SUFFIX_B = ".lora_A", ".lora_B"


def snapshot_package(
    directory: AdapterDirectory, limits: Limits = DEFAULT_LIMITS, rules: FileRules | None = None
) -> Snapshot:
    """The bytes of an adapter of ours, unverified.

    rules: in place of `package_rules`, which let no other names pass than those of an adapter's files.
    Raises AdapterNotFound, or AdapterRejected: not_an_adapter (and what it is instead), and the codes of
    `AdapterDirectory.snapshot`.
    """
    return _snapshot(directory, directory.file_names(), limits, rules)


def snapshot_adapter(
    directory: AdapterDirectory, limits: Limits = DEFAULT_LIMITS, rules: FileRules | None = None
) -> Snapshot:
    """As `snapshot_package`, or `peft_snapshot` where a PEFT adapter lies there, which is read as it stands."""
    names = directory.file_names()
    return peft_snapshot(directory, limits) if are_peft(names) else _snapshot(directory, names, limits, rules)


def package_rules(limits: Limits) -> FileRules:
    """Only the file names of an adapter, each within its limit."""

    def rule(name: str) -> FileRule:
        if not is_package_file(name):
            return REFUSE
        return FileRule("whole", limits.max_metadata_bytes if name in TEXT_FILES else limits.max_file_bytes)

    return rule


def check_files(snapshot: Snapshot, limits: Limits) -> None:
    """Check names and sizes of files that came otherwise than from a directory, as a snapshot of one would be.

    Raises AdapterRejected: unexpected_file, too_large.
    """
    files = snapshot.files
    read_by_rules(
        snapshot.origin,
        files,
        lambda name: FileFacts("file", len(files[name])),
        lambda name, max_bytes: files[name][:max_bytes],
        peft_copy_rules(limits) if snapshot.is_peft else package_rules(limits),
        limits,
    )


def metadata_of(snapshot: Snapshot) -> AdapterMetadata:
    """Parse the snapshot's metadata.json, an adapter's. AdapterRejected: missing_file, bad_metadata."""
    return parse_metadata(_metadata_file(snapshot), snapshot.origin)


def package_metadata_of(snapshot: Snapshot) -> AnyMetadata:
    """Parse the snapshot's metadata.json, whichever kind it is of. AdapterRejected: missing_file, bad_metadata."""
    return parse_package(_metadata_file(snapshot), snapshot.origin)


def is_composition(snapshot: Snapshot) -> bool:
    """Whether these are the files of a composition, which has no weights."""
    return is_manifest(snapshot.files.get(METADATA_FILE, b""))


def manifest_of(snapshot: Snapshot) -> CompositionMetadata:
    """Parse the snapshot's metadata.json, a composition's.

    AdapterRejected: missing_file, bad_metadata, unexpected_file for weights, which nothing would read. A learned gate's
    file is there exactly where the manifest says so.
    """
    metadata = parse_as(CompositionMetadata, _metadata_file(snapshot), snapshot.origin)
    weights = sorted(name for name in snapshot.files if LAYER_FILE.match(name))
    if weights:
        raise AdapterRejected(
            f"{snapshot.origin}: a composition has no weights of its own, and {weights[0]} is here; remove it, or make "
            "it an adapter that the composition names",
            code="unexpected_file",
        )
    if (metadata.gate is None) == (GATE_FILE in snapshot.files):
        is_missing = metadata.gate is not None
        raise AdapterRejected(
            f"{snapshot.origin}: {GATE_FILE} is {'missing' if is_missing else 'here'}, and {METADATA_FILE} has "
            f"{'a' if is_missing else 'no'} gate; make it anew with `adaptrix compose`",
            code="missing_file" if is_missing else "unexpected_file",
        )
    return metadata


def announced_tensors(snapshot: Snapshot, metadata: AdapterMetadata, limits: Limits) -> Announced:
    """The tensors in the layer files' headers: exactly one A and one B for every point of the metadata.

    AdapterRejected: missing_file, unexpected_file, missing_tensor, unexpected_tensor, no_tensors, and `read_header`'s.
    """
    wanted = {f"layer_{layer}.safetensors": layer for layer in metadata.target_layers}
    present = {name for name in snapshot.files if LAYER_FILE.match(name)}
    if GATE_FILE in snapshot.files:
        raise AdapterRejected(
            f"{snapshot.origin}: {GATE_FILE} belongs to a composition, and this is an adapter; remove it",
            code="unexpected_file",
        )
    if not present:
        raise AdapterRejected(f"{snapshot.origin}: no layer_N.safetensors, so nothing to load", code="no_tensors")
    for code, names in (("missing_file", wanted.keys() - present), ("unexpected_file", present - wanted.keys())):
        if names:
            raise AdapterRejected(
                f"{snapshot.origin}: {METADATA_FILE} lists layers {list(metadata.target_layers)}; "
                f"{'missing' if code == 'missing_file' else 'not listed'}: {', '.join(sorted(names))}",
                code=code,
            )
    announced: dict[Point, tuple[TensorEntry, TensorEntry]] = {}
    for name, layer in wanted.items():
        header = read_header(snapshot.files[name], f"{snapshot.origin}/{name}", limits.max_header_bytes)
        modules = [module for at, module in map(parse_point, metadata.points) if at == layer]
        _check_names(f"{snapshot.origin}/{name}", header.keys(), modules)
        for module in modules:
            announced[layer, module] = (header[module + SUFFIX_A], header[module + SUFFIX_B])
    return announced


def sign_package(directory: Path, private_key: Path, limits: Limits = DEFAULT_LIMITS) -> PackageDigest:
    """Sign (or re-sign) a package; returns its package digest. Raises AdapterRejected if it is malformed."""
    snapshot = snapshot_package(LocalDirectory(directory), limits)
    if is_composition(snapshot):
        manifest_of(snapshot)
    else:
        metadata = metadata_of(snapshot)
        check_ranks(metadata, announced_tensors(snapshot, metadata, limits))
    write_file(directory / SIGNATURE_FILE, sign_snapshot(snapshot, private_key))
    return snapshot.package_digest


def package_digest(directory: Path, limits: Limits = DEFAULT_LIMITS) -> PackageDigest:
    """SHA-256 (hex) over names and contents of all files but the signature."""
    return snapshot_package(LocalDirectory(directory), limits).package_digest


def _metadata_file(snapshot: Snapshot) -> bytes:
    if METADATA_FILE not in snapshot.files:
        raise AdapterRejected(f"{snapshot.origin}: no {METADATA_FILE}; not an adapter directory", code="missing_file")
    return snapshot.files[METADATA_FILE]


def _snapshot(directory: AdapterDirectory, names: Collection[str], limits: Limits, rules: FileRules | None) -> Snapshot:
    foreign = foreign_kind(directory, names)
    if foreign is not None:
        raise AdapterRejected(f"{directory.name}: {foreign}", code="not_an_adapter")
    return directory.snapshot(rules or package_rules(limits), limits)


def _check_names(origin: str, names: Set[str], modules: list[str]) -> None:
    wanted = {module + suffix for module in modules for suffix in (SUFFIX_A, SUFFIX_B)}
    for code, faults in (("missing_tensor", wanted - names), ("unexpected_tensor", names - wanted)):
        if faults:
            what = "lacks tensors that metadata.json lists" if code == "missing_tensor" else "has tensors not listed"
            raise AdapterRejected(f"{origin}: {what}: {', '.join(sorted(faults)[:5])}", code=code)
