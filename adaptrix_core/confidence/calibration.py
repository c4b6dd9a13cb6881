"""A calibration: from an estimator's score to the probability that an answer is right, and what it was measured to do.

It holds for one who answers (the base model, an adapter, a mix), one base model and one layout of its weights, and for
no other. Knows the numbers, not how they are fitted (`training/calibration/`) nor who vouches for them (`signed.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adaptrix_core.digests import PackageDigest
from adaptrix_core.injection.mix import Term

BASE_ANSWERS = "base"
"""`answerer_of` the empty mix."""
MIX_ANSWERS = "mix:"
"""How `answerer_of` a mix begins."""
GATED_ANSWERS = "gated"
"""`answerer_of` any mix under a gate that a request makes: nothing is calibrated for it. A composition with a gate is
named by its package."""
NAME_CHARACTERS = 500
"""Most characters of a calibration's name for people."""
Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CoveragePoint(_Record):
    """What is left where answers below a threshold are held back, as measured."""

    threshold: Share
    """Least confidence of an answer that is given."""
    coverage: Share
    """Share of the answers that are given."""
    accuracy: Share
    """Share of these that are right."""


class ConfidenceCalibration(_Record):
    """One calibration, as its file holds it."""

    schema_version: Literal[1] = 1
    answerer: str = Field(min_length=1, max_length=200)
    """Who answers: see `answerer_of`."""
    name: str = Field(min_length=1, max_length=NAME_CHARACTERS)
    """The same for people; of a long mix only the beginning."""
    base_lineage: str
    base_digest: str = Field(min_length=1)
    layout: str = Field(min_length=1)
    """Layout of the base model's weights; another one gives other numbers."""
    estimator: str = Field("logprob_sum", min_length=1)
    method: Literal["platt", "isotonic"]
    slope: float = 0.0
    """Platt: probability = 1 / (1 + exp(-(slope * score + intercept)))."""
    intercept: float = 0.0
    steps: tuple[tuple[float, Share], ...] = ()
    """Isotonic: (score, probability), both rising; between two steps it is their line."""
    curve: tuple[CoveragePoint, ...] = ()
    """From the highest threshold to the lowest, on answers that the numbers were not fitted on."""
    policies: Mapping[str, tuple[CoveragePoint, ...]] = Field(default_factory=dict)
    """By fallbacks, such as ``again`` or ``again,base``, the curve where these answer below the threshold and nobody
    after them; measured where it was asked for."""
    measured: Mapping[str, Any] = Field(default_factory=dict)
    provenance: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_a_rising_function(self) -> Self:
        if self.method == "platt" and self.slope <= 0:
            raise ValueError(f"slope is {self.slope}; a higher score must mean a higher probability")
        if self.method == "isotonic":
            scores, shares = [step[0] for step in self.steps], [step[1] for step in self.steps]
            if not self.steps or scores != sorted(set(scores)) or shares != sorted(shares):
                raise ValueError("steps must be at least one, with rising scores and probabilities that never fall")
        return self

    def probability(self, score: float) -> float:
        """The probability that an answer with this score is right, 0 to 1."""
        if self.method == "platt":
            return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, self.slope * score + self.intercept))))
        return interpolated(self.steps, score)

    def coverage_at(self, accuracy: float) -> float:
        """The largest measured share of answers of which this share is right; 0 where no threshold gives that."""
        return max((point.coverage for point in self.curve if point.accuracy >= accuracy), default=0.0)


def interpolated(steps: Sequence[tuple[float, float]], score: float) -> float:
    """The value at ``score`` on the line through these points; beyond them, that of the outermost one."""
    after = bisect_right(steps, score, key=lambda step: step[0])
    if after == 0 or after == len(steps):
        return steps[0 if after == 0 else -1][1]
    (left, low), (right, high) = steps[after - 1], steps[after]
    return low + (high - low) * (score - left) / (right - left)


def answerer_of(terms: Iterable[Term[PackageDigest]]) -> str:
    """Who answers, as calibrations name it: ``base``, a package digest, or ``mix:`` and a digest over the mix.

    terms: as they were asked for, so that a composition with a name is one of them, by its own package. The order of a
    mix's terms makes no difference.
    """
    listed = sorted(terms, key=lambda term: term.adapter)
    if not listed:
        return BASE_ANSWERS
    if any(term.gated is not None for term in listed):
        return GATED_ANSWERS
    if len(listed) == 1 and listed[0].weight == 1.0 and listed[0].layers is None:
        return listed[0].adapter
    told = [
        [term.adapter, term.weight, sorted(term.layers) if isinstance(term.layers, frozenset) else term.layers]
        for term in listed
    ]
    return MIX_ANSWERS + hashlib.sha256(json.dumps(told).encode()).hexdigest()
