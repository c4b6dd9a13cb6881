"""Checks the parts of a composition against a catalogue, and reports every fault of every part instead of the first.

Whether a load would find them: there, under the signed digest, signed by a trusted key, not revoked. Parts of parts are
checked as well. Nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.package.composition import gate_of
from adaptrix_core.adapters.package.contents import package_metadata_of
from adaptrix_core.adapters.package.manifest import CompositionMetadata
from adaptrix_core.composition.manifests.expansion import (
    SignedPart,
    Unread,
    changed_part,
    check_composition,
    missing_part,
    parts_of,
)
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterNotFound, AdapterRejected

Fault = tuple[str, str]
"""(code, message)."""


@dataclass(frozen=True)
class PartReport:
    """One part, as the catalogue has it."""

    identity: str
    """``name@version``."""
    within: str
    """Identity of the composition that has it as a part."""
    package_digest: PackageDigest
    """The signed one."""
    signer: str | None
    """Name of the trusted key that signed what is there; None where nothing was verified."""
    faults: tuple[Fault, ...]


def part_reports(manager: AdapterManager, metadata: CompositionMetadata) -> tuple[PartReport, ...]:
    """A report for each package that the composition is made of, each of them once, parts before their own parts."""
    seen: set[PackageDigest] = set()
    return tuple(_reports(manager, metadata, seen))


def composition_faults(manager: AdapterManager, metadata: CompositionMetadata) -> tuple[Fault, ...]:
    """Why the composition as a whole cannot be computed, whatever its parts' own faults: a strategy that refuses it, a
    cycle, too many levels or parts. Empty where it can, and where a part's fault hides it.
    """
    try:
        check_composition(metadata, lambda part: nested_part(manager, part))
    except AdapterRejected as error:
        return () if error.code in ("missing_part", "changed_part") else ((error.code, error.message),)
    return ()


def _reports(manager: AdapterManager, metadata: CompositionMetadata, seen: set[PackageDigest]) -> Iterator[PartReport]:
    for part in parts_of(metadata).values():
        if part.package_digest in seen:
            continue
        seen.add(part.package_digest)
        report = _report(manager, part)
        yield report
        if part.weights_digest is None and not report.faults:
            yield from _reports(manager, nested_part(manager, part).metadata, seen)


def _report(manager: AdapterManager, part: SignedPart) -> PartReport:
    try:
        found = manager.validate_adapter(part.identity)
    except AdapterNotFound:
        missing = missing_part(part)
        return PartReport(part.identity, part.within, part.package_digest, None, ((missing.code, missing.message),))
    faults = found.faults
    same = (found.package_digest, found.weights_digest) == (part.package_digest, part.weights_digest)
    if found.package_digest is not None and not same:
        changed = changed_part(part, found.package_digest)
        faults = ((changed.code, changed.message), *faults)
    return PartReport(part.identity, part.within, part.package_digest, found.signer, faults)


def nested_part(manager: AdapterManager, part: SignedPart) -> Unread:
    """A part that is a composition, by its files. Raises AdapterRejected: missing_part, changed_part."""
    try:
        snapshot = manager.snapshot(part.identity)
    except AdapterNotFound as error:
        raise missing_part(part) from error
    known = package_metadata_of(snapshot)
    if not isinstance(known, CompositionMetadata) or snapshot.package_digest != part.package_digest:
        raise changed_part(part, snapshot.package_digest)
    return Unread(known, gate_of(snapshot, known, None))
