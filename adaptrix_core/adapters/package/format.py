"""An adapter directory, written and read: metadata.json, one layer_N.safetensors per adapted layer, signature.json.

Everything is read into memory once (`snapshot.py`), then checked in this order: file names and sizes, revocation and
signature, metadata, base identity, layers and modules, safetensors headers, shapes; only then are tensors made, from
the same bytes, and their values and digest checked. The first fault raises AdapterRejected, with a code of
`error_codes.PACKAGE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from adaptrix_core.adapters.package.atomic import refuse_foreign_files, write_directory
from adaptrix_core.adapters.package.contents import SUFFIX_A, SUFFIX_B, announced_tensors, metadata_of, snapshot_package
from adaptrix_core.adapters.package.file_names import METADATA_FILE, SIGNATURE_FILE, is_package_file
from adaptrix_core.adapters.package.fit import BaseMatch, check_base, check_points, check_ranks, check_shapes
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.magnitudes import check_values
from adaptrix_core.adapters.package.metadata import AdapterMetadata, point_key, with_weights
from adaptrix_core.adapters.package.safetensors_header import malformed
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.scan.norm_outliers import norm_warnings
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.adapters.trust.signing import sign_snapshot
from adaptrix_core.digests import PackageDigest, WeightsDigest
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.lora import LoraWeights, PointWeights

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModelInfo, Point, PointSpec


@dataclass(frozen=True)
class Adapter:
    """A loaded adapter: checked, in host memory."""

    name: str
    version: str
    metadata: AdapterMetadata
    weights: LoraWeights
    package_digest: PackageDigest
    """SHA-256 over the directory's files but the signature; signed, revoked and reported by it."""
    signer: str | None
    """Name of the trusted key that signed it, None where nothing was verified."""
    warnings: tuple[str, ...] = ()
    """Warnings for users of the loaded adapter, each beginning with a code and a colon."""
    signer_key: str | None = None
    """Fingerprint of the signer's key."""

    @property
    def weights_digest(self) -> WeightsDigest:
        """Weights digest: the key of every cache."""
        return self.weights.weights_digest

    @property
    def identity(self) -> str:
        """Public identity, ``name@version``."""
        return f"{self.name}@{self.version}"


def write_package(
    directory: Path, metadata: AdapterMetadata, weights: LoraWeights, *, private_key: Path | None = None
) -> AdapterMetadata:
    """Write an adapter directory, signed if a key is given, replacing an earlier one in one step.

    The metadata fields that follow from the weights are recomputed. Returns the metadata as written.
    Raises AdapterRejected for weights that could not be read back (no points, other dtypes, NaN or infinite, a rank
    over the limit), and AdapterExists where the directory holds something else.
    """
    metadata = with_weights(metadata, weights)
    check_values(metadata.identity, weights)
    _check_largest_rank(metadata)
    refuse_foreign_files(directory, is_package_file)
    files = {METADATA_FILE: metadata.to_json(), **_layer_files(weights)}
    if private_key is not None:
        files[SIGNATURE_FILE] = sign_snapshot(Snapshot(directory.name, files), private_key)
    write_directory(directory, files)
    return metadata


def read_package(
    source: Path | Snapshot,
    base: BaseModelInfo,
    points: Mapping[Point, PointSpec],
    *,
    trust: TrustPolicy,
    limits: Limits = DEFAULT_LIMITS,
    base_match: BaseMatch = "compatible",
) -> Adapter:
    """Read and check an adapter directory. Raises AdapterNotFound, or AdapterRejected with a code listed above."""
    snapshot = source if isinstance(source, Snapshot) else snapshot_package(LocalDirectory(source), limits)
    trusted = trust.check(snapshot)
    metadata = metadata_of(snapshot)
    warnings = check_base(metadata, base, base_match)
    specs = check_points(metadata, base.num_layers, points, limits)
    announced = announced_tensors(snapshot, metadata, limits)
    check_ranks(metadata, announced)
    check_shapes(metadata, announced, specs)
    weights = map_weights(snapshot, metadata, getattr(torch, base.dtype))
    return Adapter(
        name=metadata.name,
        version=metadata.version,
        metadata=metadata,
        weights=weights,
        package_digest=snapshot.package_digest,
        signer=trusted.signer,
        warnings=(*trusted.warnings, *warnings, *norm_warnings(metadata.identity, weights)),
        signer_key=trusted.signer_key,
    )


def map_weights(snapshot: Snapshot, metadata: AdapterMetadata, dtype: torch.dtype = torch.float32) -> LoraWeights:
    """Tensors from checked bytes. dtype: the precision of computing. AdapterRejected: non_finite, digest_mismatch."""
    tensors: dict[Point, tuple[Tensor, Tensor]] = {}
    for layer in metadata.target_layers:
        stored = load_tensors(snapshot, f"layer_{layer}.safetensors")
        for name, tensor in stored.items():
            if name.endswith(SUFFIX_A):
                module = name.removesuffix(SUFFIX_A)
                tensors[layer, module] = (tensor, stored[module + SUFFIX_B])
    weights = LoraWeights(
        points={
            point: PointWeights(lora_a=a, lora_b=b, scaling=metadata.points[point_key(point)].scaling)
            for point, (a, b) in sorted(tensors.items())
        },
        invocation_tokens=metadata.invocation_tokens,
    )
    check_values(metadata.identity, weights, dtype)
    if weights.weights_digest != metadata.weights_digest:
        raise AdapterRejected(
            f"{metadata.identity}: weights have digest {weights.weights_digest}, {METADATA_FILE} says "
            f"{metadata.weights_digest}; the files do not belong together",
            code="digest_mismatch",
        )
    return weights


def load_tensors(snapshot: Snapshot, file_name: str) -> dict[str, Tensor]:
    """Tensors of one file whose header was checked. AdapterRejected (bad_safetensors) if the library disagrees."""
    try:
        return safetensors.torch.load(snapshot.files[file_name])
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise malformed(f"{snapshot.origin}/{file_name}", str(error)) from error


def _layer_files(weights: LoraWeights) -> dict[str, bytes]:
    by_layer: dict[int, dict[str, Tensor]] = {}
    for (layer, module), point in sorted(weights.points.items()):
        tensors = by_layer.setdefault(layer, {})
        # Copies: safetensors refuses tensors that share memory, as tied points or views of one tensor do.
        tensors[module + SUFFIX_A] = point.lora_a.detach().cpu().clone(memory_format=torch.contiguous_format)
        tensors[module + SUFFIX_B] = point.lora_b.detach().cpu().clone(memory_format=torch.contiguous_format)
    return {f"layer_{layer}.safetensors": safetensors.torch.save(tensors) for layer, tensors in by_layer.items()}


def _check_largest_rank(metadata: AdapterMetadata) -> None:
    if metadata.rank > DEFAULT_LIMITS.max_rank:
        raise AdapterRejected(
            f"{metadata.identity}: rank {metadata.rank}, limit {DEFAULT_LIMITS.max_rank}; use a lower rank, or spread "
            "it over more layers",
            code="bad_rank",
        )
