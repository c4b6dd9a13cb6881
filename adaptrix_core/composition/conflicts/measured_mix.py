"""The measurement of one mix, as it is signed: what it does to its adapters' answers, on which base, in which layout.

Only mixes that a request can write as names with weights are kept so: one number for each adapter, on all its layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from adaptrix_core.adapters.package.metadata import HEX64
from adaptrix_core.composition.conflicts.expected_loss import expected_loss
from adaptrix_core.digests import PackageDigest, WeightsDigest
from adaptrix_core.injection.mix import Term
from adaptrix_core.request_limits import MOST

_FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
Text = Annotated[str, Field(min_length=1, max_length=512)]
Weight = Annotated[float, Field(ge=-MOST.mix_weight, le=MOST.mix_weight)]

MixKey = frozenset[tuple[PackageDigest, float]]
"""A mix of packages with one weight each; the order makes no difference."""


def mix_key(terms: Iterable[Term[PackageDigest]]) -> MixKey | None:
    """The key of a mix; None for one with gates, layers of its own or a weight per layer, which is not kept here."""
    pairs = []
    for term in terms:
        if term.gated is not None or term.layers is not None or isinstance(term.weight, tuple):
            return None
        pairs.append((term.adapter, float(term.weight)))
    return frozenset(pairs)


class MeasuredPart(BaseModel):
    """One adapter of the mix, and what becomes of its answers (`Effect`)."""

    model_config = _FROZEN

    identity: Text
    """``name@version``."""
    package_digest: Annotated[PackageDigest, Field(pattern=HEX64)]
    weights_digest: Annotated[WeightsDigest, Field(pattern=HEX64)]
    weight: Weight
    reduced: Weight
    """The weight that is left after it was reduced by attention (`training/evaluation/attention_reduction.py`)."""
    prompts: int = Field(ge=1)
    tokens: int = Field(ge=1)
    loss_rise: float
    tokens_kept: float = Field(ge=0, le=1)
    displacement: float = Field(ge=0)

    @property
    def lost(self) -> float:
        """Share of its right answers that this adapter is expected to lose, 0 to 1."""
        return expected_loss(self.displacement)


class MeasuredMix(BaseModel):
    """The whole of a conflict.json."""

    model_config = _FROZEN

    schema_version: Literal[2] = 2
    base_lineage: Text
    base_digest: Text
    layout: Text
    max_tokens: int = Field(ge=1)
    """Most tokens of an answer."""
    date: Text
    parts: tuple[MeasuredPart, ...] = Field(min_length=2, max_length=MOST.mix_terms)

    @property
    def score(self) -> float:
        """Mean of `MeasuredPart.lost`."""
        return sum(part.lost for part in self.parts) / len(self.parts)

    @property
    def key(self) -> MixKey:
        """Which mix was measured."""
        return frozenset((part.package_digest, part.weight) for part in self.parts)

    @property
    def reduced(self) -> dict[PackageDigest, float]:
        """The weights that are left after reduction, by package."""
        return {part.package_digest: part.reduced for part in self.parts}
