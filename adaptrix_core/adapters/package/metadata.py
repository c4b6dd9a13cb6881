"""The schema of an adapter's metadata.json, and of what a composition's has in common with it (`manifest.py`).

Knows the fields and how they must agree with one another. Knows no base model (see `fit.py`) and no tensor (see
`format.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError, model_validator

from adaptrix_core.adapters.reference import NAME_PATTERN, RESERVED_NAMES, VERSION_PATTERN, version_key
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.sampling import SamplingDefaults

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModelInfo, Point
    from adaptrix_core.injection.lora import LoraWeights

_RULES = {
    "name": "small letters, digits, '.', '_' and '-', at most 64, a letter or digit first",
    "version": "one to three whole numbers, such as 1.0.0",
}
HEX64 = r"^[0-9a-f]{64}$"

_POINT_KEY = re.compile(r"^(0|[1-9]\d{0,5})\.([a-z0-9_]+(?:\.[a-z0-9_]+)*)$")
_FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BaseIdentity(BaseModel):
    """The base model that an adapter was made for."""

    model_config = _FROZEN

    lineage: str = Field(min_length=1, max_length=512)
    """The model it descends from, e.g. ``HuggingFaceTB/SmolLM2-135M-Instruct``; quantisations share it."""
    signature: str = Field(min_length=1, max_length=512)
    """Shape signature: family and dimensions."""
    digest: str = Field(min_length=1, max_length=512)
    """Digest of the exact weights used."""


class PointMetadata(BaseModel):
    """The entry of one injection point in metadata.json."""

    model_config = _FROZEN

    rank: int = Field(ge=1)
    scaling: float


class PackageMetadata(BaseModel):
    """The fields of metadata.json that every package has, an adapter and a composition; unknown fields are refused."""

    model_config = _FROZEN

    schema_version: Literal[1] = 1
    name: str = Field(pattern=NAME_PATTERN)
    version: str = Field(default="1.0.0", pattern=VERSION_PATTERN)
    description: str = Field(default="", max_length=10_000)
    base: BaseIdentity
    created_date: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    license: str = Field(default="unspecified", max_length=200)
    sampling: SamplingDefaults | None = None
    """Sampling defaults for its answers; a value in a request always wins."""
    routing_examples: tuple[str, ...] = ()
    routing_keywords: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(default=(), max_length=256)
    """Words and phrases that speak for it; ``@math``, ``@code`` and ``@reasoning`` stand for the router's lists."""

    @property
    def identity(self) -> str:
        """Public identity, ``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def version_key(self) -> tuple[int, ...]:
        """Sorts versions by number: ``1.10`` after ``1.9``; missing parts count as 0."""
        return version_key(self.version)

    def to_json(self) -> bytes:
        """UTF-8 JSON in the form of the file, in the order of the fields."""
        return (self.model_dump_json(indent=2) + "\n").encode()

    @model_validator(mode="after")
    def _is_free(self) -> Self:
        if self.name in RESERVED_NAMES:
            raise ValueError(f"name {self.name!r} is reserved")
        return self


class AdapterMetadata(PackageMetadata):
    """The whole of an adapter's metadata.json."""

    target_layers: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    target_modules: tuple[str, ...] = Field(min_length=1)
    rank: int = Field(ge=1)
    """Largest rank of any point."""
    alpha: float
    """``scaling * rank`` of the first point; the values that count are in ``points``."""
    points: dict[str, PointMetadata] = Field(min_length=1)
    """Keys are ``"<layer>.<canonical module>"``, e.g. ``"15.self_attn.q_proj"``."""
    weights_digest: WeightsDigest = Field(pattern=HEX64)
    """SHA-256 of points, tensors, scalings and invocation tokens; verified on every load."""
    invocation_tokens: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Activated LoRA: the adapter acts from this token sequence on. None: on every token."""
    training: dict[str, JsonValue] = Field(default_factory=dict)
    performance_metrics: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agree(self) -> AdapterMetadata:
        """Refuse summary fields that disagree with ``points``: tools that read only the summary would be misled."""
        parsed = [parse_point(key) for key in self.points]
        layers = tuple(sorted({layer for layer, _ in parsed}))
        modules = tuple(sorted({module for _, module in parsed}))
        if self.target_layers != layers:
            raise ValueError(f"target_layers is {list(self.target_layers)}, points use {list(layers)}")
        if self.target_modules != modules:
            raise ValueError(f"target_modules is {list(self.target_modules)}, points use {list(modules)}")
        largest = max(point.rank for point in self.points.values())
        if self.rank != largest:
            raise ValueError(f"rank is {self.rank}, the largest rank among points is {largest}")
        return self


Kind = TypeVar("Kind", bound=PackageMetadata)


def parse_point(key: str) -> Point:
    """``"15.self_attn.q_proj"`` -> ``(15, "self_attn.q_proj")``; ValueError otherwise."""
    match = _POINT_KEY.match(key)
    if match is None:
        raise ValueError(f"point {key!r} is not '<layer>.<module>', e.g. '15.self_attn.q_proj'")
    return int(match[1]), match[2]


def point_key(point: Point) -> str:
    """The inverse of `parse_point`."""
    return f"{point[0]}.{point[1]}"


def parse_metadata(data: bytes, origin: str) -> AdapterMetadata:
    """Parse an adapter's metadata.json. ``origin`` names it in the error (AdapterRejected, code bad_metadata)."""
    return parse_as(AdapterMetadata, data, origin)


def parse_as(kind: type[Kind], data: bytes, origin: str) -> Kind:
    """Parse metadata.json of one kind. Raises AdapterRejected (bad_metadata)."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()[:8])
        raise AdapterRejected(f"{origin}: metadata.json is not valid: {faults}", code="bad_metadata") from error


def describe(weights: LoraWeights, base: BaseModelInfo, name: str, **fields: Any) -> AdapterMetadata:
    """Metadata for ``weights`` made on ``base``; ``fields`` are further fields of `AdapterMetadata` (version, …).

    Raises AdapterRejected (bad_metadata) where a field is not allowed, e.g. a name not ``[a-z0-9][a-z0-9._-]{0,63}``.
    """
    return _checked(name, {**summary(weights), "name": name, "base": base_identity(base), **fields})


def field_faults(fields: Mapping[str, Any]) -> Iterator[str]:
    """Faults of values for fields of `AdapterMetadata`, before the other fields are known."""
    for name, value in fields.items():
        declared = AdapterMetadata.model_fields[name]
        annotation: Any = Annotated[declared.annotation, declared]
        try:
            TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            yield f"{name} = {str(value)[:80]!r}: {_RULES.get(name) or error.errors()[0]['msg']}"
    if fields.get("name") in RESERVED_NAMES:
        yield f"name = {fields['name']!r}: reserved; choose another"


def with_weights(metadata: AdapterMetadata, weights: LoraWeights) -> AdapterMetadata:
    """``metadata`` with every field that follows from the weights recomputed."""
    return _checked(metadata.identity, {**metadata.model_dump(), **summary(weights)})


def base_identity(base: BaseModelInfo) -> BaseIdentity:
    """The identity of a loaded base model."""
    return BaseIdentity(lineage=base.lineage, signature=base.signature, digest=base.digest)


def summary(weights: LoraWeights) -> dict[str, Any]:
    """The metadata fields that follow from the weights alone. Raises AdapterRejected (no_tensors) for no points."""
    points = sorted(weights.points)
    if not points:
        raise AdapterRejected("an adapter needs at least one injection point, found none", code="no_tensors")
    first = weights.points[points[0]]
    return {
        "target_layers": tuple(sorted({layer for layer, _ in points})),
        "target_modules": tuple(sorted({module for _, module in points})),
        "rank": max(weights.points[point].rank for point in points),
        "alpha": first.scaling * first.rank,
        "points": {
            point_key(point): {"rank": weights.points[point].rank, "scaling": weights.points[point].scaling}
            for point in points
        },
        "weights_digest": weights.weights_digest,
        "invocation_tokens": weights.invocation_tokens,
    }


def _checked(origin: str, fields: Mapping[str, Any]) -> AdapterMetadata:
    try:
        return AdapterMetadata.model_validate(fields)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'fields'}: {e['msg']}" for e in error.errors()[:8])
        raise AdapterRejected(f"{origin}: cannot make metadata: {faults}", code="bad_metadata") from error
