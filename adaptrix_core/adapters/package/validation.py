"""Checks an adapter without loading it, and reports every fault instead of the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from adaptrix_core.adapters.package.composition import gate_of
from adaptrix_core.adapters.package.contents import announced_tensors, is_composition, manifest_of, metadata_of
from adaptrix_core.adapters.package.fit import BaseMatch, check_base, check_points, check_ranks, check_shapes
from adaptrix_core.adapters.package.format import map_weights
from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.adapters.package.manifest import AnyMetadata
from adaptrix_core.adapters.package.metadata import AdapterMetadata
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.scan.norm_outliers import norm_warnings
from adaptrix_core.adapters.trust.policy import TrustPolicy, TrustReport
from adaptrix_core.digests import PackageDigest, WeightsDigest
from adaptrix_core.errors import AdapterRejected

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModel


T = TypeVar("T")


@dataclass(frozen=True)
class ValidationReport:
    """The result of a validation."""

    identity: str
    faults: tuple[tuple[str, str], ...]
    """(code, message) pairs; empty means that the adapter would load."""
    warnings: tuple[str, ...] = ()
    signer: str | None = None
    package_digest: PackageDigest | None = None
    weights_digest: WeightsDigest | None = None
    checked_against_base: str | None = None
    """Name of the base model it was compared with; None where there was none to compare with."""

    @property
    def ok(self) -> bool:
        """Whether the adapter would load."""
        return not self.faults


def validate_snapshot(
    snapshot: Snapshot, base: BaseModel | None, trust: TrustPolicy, limits: Limits, base_match: BaseMatch
) -> ValidationReport:
    """Run every check of a load, each on its own where possible. No adapter can make this raise.

    A composition's parts are not looked for: `composition/manifests/checking.py` does that.
    """
    faults: list[tuple[str, str]] = []
    trusted = _attempt(lambda: trust.check(snapshot), faults) or TrustReport(signer=None)
    metadata: AnyMetadata | None = _attempt(
        lambda: manifest_of(snapshot) if is_composition(snapshot) else metadata_of(snapshot), faults
    )
    warnings = list(trusted.warnings)
    if metadata is not None and base is not None:
        warnings += _attempt(lambda: check_base(metadata, base.info, base_match), faults) or ()
    if isinstance(metadata, AdapterMetadata):
        warnings += _attempt(lambda: _check_tensors(snapshot, metadata, base, limits), faults) or ()
    elif metadata is not None:
        _attempt(lambda: gate_of(snapshot, metadata, None if base is None else base.points), faults)
    return ValidationReport(
        identity=metadata.identity if metadata else snapshot.origin,
        faults=tuple(faults),
        warnings=tuple(warnings),
        signer=trusted.signer,
        package_digest=snapshot.package_digest,
        weights_digest=metadata.weights_digest if isinstance(metadata, AdapterMetadata) else None,
        checked_against_base=base.info.name if base else None,
    )


def _check_tensors(
    snapshot: Snapshot, metadata: AdapterMetadata, base: BaseModel | None, limits: Limits
) -> tuple[str, ...]:
    specs = None if base is None else check_points(metadata, base.info.num_layers, base.points, limits)
    announced = announced_tensors(snapshot, metadata, limits)
    check_ranks(metadata, announced)
    if specs is not None:
        check_shapes(metadata, announced, specs)
    weights = map_weights(snapshot, metadata, torch.float32 if base is None else base.dtype)
    return norm_warnings(metadata.identity, weights)


def _attempt(check: Callable[[], T], faults: list[tuple[str, str]]) -> T | None:
    try:
        return check()
    except AdapterRejected as error:
        faults.append((error.code, error.message))
        return None
