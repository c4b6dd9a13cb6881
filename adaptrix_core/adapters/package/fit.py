"""Checks that an adapter fits a base model: compares metadata and tensor headers with the base's points.

Everything here runs before a tensor is mapped, on numbers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.adapters.package.metadata import AdapterMetadata, PackageMetadata, parse_point, point_key
from adaptrix_core.adapters.package.safetensors_header import TensorEntry
from adaptrix_core.errors import AdapterRejected

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModelInfo, Point, PointSpec

BaseMatch = Literal["compatible", "exact"]

Announced = Mapping["Point", tuple[TensorEntry, TensorEntry]]
"""By injection point, the header entries of A and of B."""


def is_made_for(metadata: PackageMetadata, base: BaseModelInfo) -> bool:
    """Whether an adapter's metadata names ``base`` or another quantisation of it."""
    return (metadata.base.lineage, metadata.base.signature) == (base.lineage, base.signature)


def check_base(metadata: PackageMetadata, base: BaseModelInfo, base_match: BaseMatch = "compatible") -> tuple[str, ...]:
    """Warnings, or AdapterRejected (base_mismatch).

    Another lineage or shape signature is always refused: two bases of one shape (such as base and instruct) accept each
    other's tensors and produce nonsense. Other weights of one lineage (a quantisation) are refused under ``exact``.
    """
    for field in ("lineage", "signature"):
        made_for, loaded = getattr(metadata.base, field), getattr(base, field)
        if made_for != loaded:
            raise AdapterRejected(
                f"{metadata.identity}: made for base {field} {made_for!r}, the loaded base {base.name!r} has "
                f"{loaded!r}; load its own base or train it for this one",
                code="base_mismatch",
            )
    if metadata.base.digest == base.digest:
        return ()
    message = (
        f"{metadata.identity}: made for other weights of {base.lineage!r} (digest {metadata.base.digest[:16]}, loaded "
        f"{base.digest[:16]}), such as another quantisation"
    )
    if base_match == "exact":
        raise AdapterRejected(f"{message}; base_match is 'exact', 'compatible' would allow it", code="base_mismatch")
    return (f"base_digest: {message}; outputs may differ slightly",)


def check_points(
    metadata: AdapterMetadata, num_layers: int, points: Mapping[Point, PointSpec], limits: Limits
) -> dict[Point, PointSpec]:
    """The base's spec for every point of the adapter. AdapterRejected: layer_out_of_range, unknown_module, bad_rank."""
    found: dict[Point, PointSpec] = {}
    for key, point_metadata in metadata.points.items():
        layer, module = point = parse_point(key)
        if layer >= num_layers:
            raise AdapterRejected(
                f"{metadata.identity}: point {key!r} is in layer {layer}, the base model has {num_layers} layers "
                f"(0 to {num_layers - 1})",
                code="layer_out_of_range",
            )
        if point not in points:
            known = ", ".join(sorted({name for _, name in points}))
            raise AdapterRejected(
                f"{metadata.identity}: the base model has no module {module!r}; it has {known}", code="unknown_module"
            )
        spec = points[point]
        highest = min(limits.max_rank, max(spec.d_in, spec.d_out))
        if point_metadata.rank > highest:
            raise AdapterRejected(
                f"{metadata.identity}: point {key!r} has rank {point_metadata.rank}, limit {highest}; retrain with "
                "a lower rank",
                code="bad_rank",
            )
        found[point] = spec
    return found


def check_ranks(metadata: AdapterMetadata, announced: Announced) -> None:
    """Tensors must have two dimensions and the rank that metadata.json gives. AdapterRejected: bad_shape, bad_rank."""
    for point, (a, b) in announced.items():
        key = point_key(point)
        if len(a.shape) != 2 or len(b.shape) != 2:
            raise AdapterRejected(
                f"{metadata.identity}: {key} has lora_A {a.shape} and lora_B {b.shape}; both need two dimensions",
                code="bad_shape",
            )
        rank = metadata.points[key].rank
        if a.shape[0] != rank or b.shape[1] != rank:
            raise AdapterRejected(
                f"{metadata.identity}: {key} has lora_A {a.shape} and lora_B {b.shape}, metadata.json says rank {rank}",
                code="bad_rank",
            )


def check_shapes(metadata: AdapterMetadata, announced: Announced, specs: Mapping[Point, PointSpec]) -> None:
    """A must be ``(rank, d_in)`` and B ``(d_out, rank)`` of the base's module. AdapterRejected: bad_shape."""
    for point, (a, b) in announced.items():
        spec = specs[point]
        if a.shape[1] != spec.d_in or b.shape[0] != spec.d_out:
            raise AdapterRejected(
                f"{metadata.identity}: {point_key(point)} has lora_A {a.shape} and lora_B {b.shape}; the base's module "
                f"takes {spec.d_in} inputs and gives {spec.d_out} outputs",
                code="bad_shape",
            )
