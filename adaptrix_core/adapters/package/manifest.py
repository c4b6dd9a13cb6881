"""The schema of a composition's metadata.json, its manifest: how adapters work together, and which ones, by digest.

Knows the parts as the author saw them. Knows no strategy (`adaptrix_core/composition`), and not what there is under the
parts' names now.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import from_json

from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.package.metadata import (
    HEX64,
    AdapterMetadata,
    PackageMetadata,
    parse_as,
    parse_metadata,
)
from adaptrix_core.adapters.reference import NAME_PATTERN, VERSION_PATTERN, AdapterReference
from adaptrix_core.digests import GateDigest, PackageDigest, WeightsDigest

_REFERENCE = re.compile(f"{NAME_PATTERN[:-1]}(@{VERSION_PATTERN[1:-1]})?$")


class PartMetadata(BaseModel):
    """One part as it was when the composition was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(pattern=VERSION_PATTERN)
    package_digest: Annotated[PackageDigest, Field(pattern=HEX64)]
    """Of the part's files: another package of the same name and version is not this part."""
    weights_digest: Annotated[WeightsDigest, Field(pattern=HEX64)] | None
    """Of an adapter's weights; None where the part is a composition itself, whose parts its package digest covers."""


class ConflictMetadata(BaseModel):
    """What its mix does to its adapters' own answers, as measured before it was signed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    score: float = Field(ge=0, le=1)
    """Mean over the adapters of ``lost``."""
    lost: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(max_length=DEFAULT_LIMITS.max_nested_parts)
    """By ``name@version`` of the adapters: share of its right answers that the adapter is expected to lose."""
    prompts: int = Field(ge=1)
    """Routing examples that were asked, of all adapters together."""
    max_tokens: int = Field(ge=1)
    """Most tokens of an answer."""
    base_digest: str = Field(min_length=1, max_length=512)
    layout: str = Field(min_length=1, max_length=64)
    """Precision and form that the base model was computed in."""
    limit: float = Field(ge=0, le=1)
    """The limit that held when it was made."""
    before: dict[str, float] | None = Field(default=None, max_length=DEFAULT_LIMITS.max_parts)
    """Where weights were reduced because the mix was over the limit: the weights before."""


class GateMetadata(BaseModel):
    """A learned gate, whose numbers are in a file of their own beside the manifest (`adapters/gates/gate_file.py`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    gate_digest: Annotated[GateDigest, Field(pattern=HEX64)]
    """Of the gate that the file and this rule come to; verified on every load."""
    top_k: Annotated[int, Field(ge=1)] | None = None
    """Adapters that get a share of a token; None for all."""
    temperature: float = Field(default=1.0, gt=0.0)
    """What scores are divided by."""
    training: dict[str, JsonValue] = Field(default_factory=dict)
    """Settings and outcome of its training, for people."""


class CompositionMetadata(PackageMetadata):
    """The whole of a composition's metadata.json."""

    composition: dict[str, JsonValue] = Field(min_length=1)
    """As in ``adaptrix.compose``: ``{"parallel": {"a": 0.5, "b": 0.5}}``. Names are those of ``parts``."""
    parts: dict[str, PartMetadata] = Field(min_length=1, max_length=DEFAULT_LIMITS.max_parts)
    """By the name, or ``name@version``, that ``composition`` calls the part by."""
    conflicts: ConflictMetadata | None = None
    """None where it was not measured, as for compositions whose adapters each answer by themselves."""
    gate: GateMetadata | None = None
    """The learned gate that ``"combine": "gate"`` means here; None where Arrow's is meant, or none."""

    def identity_of(self, part: str) -> str:
        """Public identity, ``name@version``, of the part that is called ``part`` in ``composition``."""
        return f"{AdapterReference.split(part).name}@{self.parts[part].version}"

    @model_validator(mode="after")
    def _is_plain(self) -> CompositionMetadata:
        for called, part in self.parts.items():
            if not _REFERENCE.match(called):
                raise ValueError(f"part {called[:80]!r} is not an adapter's name or name@version")
            if AdapterReference.split(called).version not in (None, part.version):
                raise ValueError(f"part {called!r} has version {part.version!r}; they must agree")
        _check_tree(self.composition)
        return self


AnyMetadata = AdapterMetadata | CompositionMetadata
"""The metadata of a package: of an adapter, or of a composition."""


def is_manifest(data: bytes) -> bool:
    """Whether the contents of a metadata.json are a composition's rather than an adapter's."""
    if b'"composition"' not in data:  # an adapter's need not be parsed twice
        return False
    try:
        fields = from_json(data)
    except ValueError:
        return False
    return isinstance(fields, dict) and "composition" in fields


def parse_package(data: bytes, origin: str) -> AnyMetadata:
    """Parse the metadata.json of a package of either kind. Raises AdapterRejected (bad_metadata)."""
    return parse_as(CompositionMetadata, data, origin) if is_manifest(data) else parse_metadata(data, origin)


def _check_tree(composition: dict[str, Any]) -> None:
    """Raise ValueError for numbers that are not finite, and for more values or levels than a composition may have."""
    limits = DEFAULT_LIMITS
    seen, level, values = 0, 0, [composition]
    while values:
        level += 1
        seen += len(values)
        if seen > limits.max_composition_values or level > limits.max_composition_levels:
            raise ValueError(
                f"composition has more than {limits.max_composition_values} values or {limits.max_composition_levels} "
                "levels of arrays and objects; make a part of it a composition of its own"
            )
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise ValueError("composition has a number that is not finite")
        values = [inner for value in values for inner in _inside(value)]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
