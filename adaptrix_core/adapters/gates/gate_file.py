"""A composition's learned gate as a file, written and read.

A direction and an offset for each adapter at each of its injection points, under the adapter's weights digest, such as
``<digest>.10.self_attn.q_proj.direction``: a gate that was trained over other adapters has no tensors for these. Names,
types and shapes are checked by the header before a tensor is made, then the values: finite, and within bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from adaptrix_core.adapters.package.file_names import GATE_FILE
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.magnitudes import largest_allowed
from adaptrix_core.adapters.package.manifest import CompositionMetadata, GateMetadata
from adaptrix_core.adapters.package.metadata import parse_point, point_key
from adaptrix_core.adapters.package.safetensors_header import TensorEntry, malformed, read_header
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterRejected, InvalidRequest
from adaptrix_core.injection.gate import Gate, PointGate
from adaptrix_core.injection.learned_gate import LearnedGate
from adaptrix_core.request_limits import MOST

if TYPE_CHECKING:
    from adaptrix_core.base import Point, PointSpec

_DIRECTION, _OFFSET = ".direction", ".offset"

Places = Mapping[tuple[WeightsDigest, "Point"], int]
"""Where an adapter is weighed, with the number of inputs there."""


def gate_bytes(learned: LearnedGate) -> bytes:
    """The contents of the file."""
    tensors: dict[str, Tensor] = {}
    for point, at in sorted(learned.gate.points.items()):
        for place, digest in enumerate(learned.weights_digests):
            if at.acting[place]:
                key = f"{digest}.{point_key(point)}"
                tensors[key + _DIRECTION] = at.directions[place].float().clone()
                tensors[key + _OFFSET] = at.offsets[place : place + 1].float().clone()
    return safetensors.torch.save(tensors)


def gate_metadata(learned: LearnedGate, training: Mapping[str, object]) -> GateMetadata:
    """What the manifest says of the gate."""
    gate = learned.gate
    return GateMetadata.model_validate(
        {
            "gate_digest": gate.gate_digest,
            "top_k": gate.top_k,
            "temperature": gate.temperature,
            "training": dict(training),
        }
    )


def read_gate(
    snapshot: Snapshot,
    metadata: CompositionMetadata,
    points: Mapping[Point, PointSpec] | None,
    limits: Limits = DEFAULT_LIMITS,
) -> LearnedGate:
    """The gate of a composition whose manifest has one. points: of the base model; None where there is none.

    Raises AdapterRejected: bad_gate (for other adapters, or beyond bounds), bad_dtype, bad_shape, non_finite,
    digest_mismatch, unknown_module, and as `read_header`.
    """
    assert metadata.gate is not None
    origin = f"{snapshot.origin}/{GATE_FILE}"
    header = read_header(snapshot.files[GATE_FILE], origin, limits.max_header_bytes)
    places = _places(origin, header)
    digests = _weighed(origin, metadata, {digest for digest, _ in places})
    _check_sizes(origin, places, points)
    try:
        tensors = safetensors.torch.load(snapshot.files[GATE_FILE])
    except (SafetensorError, ValueError, RuntimeError) as error:
        raise malformed(origin, str(error)) from error
    _check_values(origin, tensors)
    try:
        gate = Gate(
            {point: _point_gate(tensors, point, digests, places) for point in sorted({at for _, at in places})},
            len(digests),
            top_k=metadata.gate.top_k,
            temperature=metadata.gate.temperature,
        )
    except InvalidRequest as error:
        raise AdapterRejected(f"{origin}: {error.message}", code="bad_gate") from error
    if gate.gate_digest != metadata.gate.gate_digest:
        raise AdapterRejected(
            f"{origin}: the gate has digest {gate.gate_digest}, the manifest says {metadata.gate.gate_digest}; the "
            "files do not belong together",
            code="digest_mismatch",
        )
    return LearnedGate(digests, gate)


def _places(origin: str, header: Mapping[str, TensorEntry]) -> Places:
    """Every tensor accounted for: pairs of a direction and an offset, float32, in shapes that belong together."""
    found: dict[tuple[WeightsDigest, Point], int] = {}
    for name, entry in header.items():
        key, dot, kind = name.rpartition(".")
        partner = key + (_OFFSET if dot + kind == _DIRECTION else _DIRECTION)
        if dot + kind not in (_DIRECTION, _OFFSET) or partner not in header:
            raise AdapterRejected(
                f"{origin}: tensor {name[:160]!r} is not one of a direction and an offset for one adapter at one point",
                code="unexpected_tensor",
            )
        if entry.dtype != "F32":
            raise AdapterRejected(f"{origin}: tensor {name[:160]!r} is {entry.dtype}; gates are F32", code="bad_dtype")
        if len(entry.shape) != 1 or (dot + kind == _OFFSET and entry.shape != (1,)):
            raise AdapterRejected(
                f"{origin}: tensor {name[:160]!r} has shape {entry.shape}; a direction is (inputs,), an offset (1,)",
                code="bad_shape",
            )
        if dot + kind == _DIRECTION:
            digest, _, point = key.partition(".")
            try:
                found[WeightsDigest(digest), parse_point(point)] = entry.shape[0]
            except ValueError as error:
                raise AdapterRejected(f"{origin}: tensor {name[:160]!r}: {error}", code="unexpected_tensor") from error
    if not found:
        raise AdapterRejected(f"{origin}: no tensors, so nothing to weigh with", code="no_tensors")
    return found


def _weighed(origin: str, metadata: CompositionMetadata, found: set[WeightsDigest]) -> tuple[WeightsDigest, ...]:
    parts = [part.weights_digest for part in metadata.parts.values() if part.weights_digest is not None]
    if found != set(parts) or len(found) != len(metadata.parts):
        raise AdapterRejected(
            f"{origin}: the gate weighs adapters of weights {_listed(found)}; the parts of {metadata.identity} are "
            f"{_listed(parts) or 'compositions'}; train a gate over these parts",
            code="bad_gate",
        )
    return tuple(sorted(found))


def _listed(digests: Iterable[WeightsDigest]) -> str:
    return ", ".join(f"{digest[:16]!r}" for digest in sorted(digests)[:4])


def _check_sizes(origin: str, places: Places, points: Mapping[Point, PointSpec] | None) -> None:
    """Compare with the base's modules, or without a base the adapters at one point with one another."""
    sizes: dict[Point, int] = {} if points is None else {point: spec.d_in for point, spec in points.items()}
    for (_, point), size in places.items():
        if points is not None and point not in points:
            raise AdapterRejected(
                f"{origin}: the base model has no injection point {point_key(point)!r}", code="unknown_module"
            )
        if size != sizes.setdefault(point, size):
            raise AdapterRejected(
                f"{origin}: a direction at {point_key(point)} has {size} numbers; inputs there have {sizes[point]}",
                code="bad_shape",
            )


def _check_values(origin: str, tensors: Mapping[str, Tensor]) -> None:
    largest_sum = largest_allowed(torch.float32)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise AdapterRejected(
                f"{origin}: {name} holds NaN or infinite values; its training diverged", code="non_finite"
            )
        reach = float(tensor.abs().sum(dtype=torch.float64))
        limit = MOST.mix_weight if name.endswith(_OFFSET) else largest_sum
        if reach > limit:
            raise AdapterRejected(
                f"{origin}: {name} reaches {reach:.3g}; allowed: up to {limit:.3g}; its training diverged",
                code="bad_gate",
            )


def _point_gate(
    tensors: Mapping[str, Tensor], point: Point, digests: Iterable[WeightsDigest], places: Places
) -> PointGate:
    directions, offsets, acting = [], [], []
    size = next(places[digest, point] for digest in digests if (digest, point) in places)
    for digest in digests:
        key = f"{digest}.{point_key(point)}"
        acting.append((digest, point) in places)
        directions.append(tensors[key + _DIRECTION] if acting[-1] else torch.zeros(size))
        offsets.append(tensors[key + _OFFSET] if acting[-1] else torch.zeros(1))
    return PointGate(torch.stack(directions).contiguous(), torch.cat(offsets), tuple(acting))
