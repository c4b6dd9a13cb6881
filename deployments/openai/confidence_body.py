"""What a body asks of confidence: the least that an answer must have, and what is done with a less sure one."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, Tag

from adaptrix_core.confidence.fallbacks import ABSTAIN, fault_in
from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import Name, by_kind


def _below_one(value: float) -> float:
    if not value < 1:
        raise ValueError("should be less than 1: no answer is certain to be right")
    return value


LeastConfidence = Annotated[float, Field(gt=0), AfterValidator(_below_one)]


def _a_probability(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError("should be between 0 and 1, as the answer told it")
    return value


class AnswerFeedbackRequest(Body):
    """``POST /v1/feedback/answers``: whether an answer was right."""

    adapter: Annotated[str, Field(min_length=1, max_length=MOST.model_characters)]
    """Who gave it: an adapter's name, or ``base``."""
    confidence: Annotated[float, AfterValidator(_a_probability)]
    """What the answer told of how sure it is."""
    right: bool


def _in_turns(value: list[str]) -> list[str]:
    if (fault := fault_in(value)) is not None:
        raise ValueError(fault)
    return value


class ConfidenceBound(Body):
    """The least confidence of an answer, and what comes after a less sure one, in turns."""

    at_least: LeastConfidence
    fallback: Annotated[
        list[Name],
        Field(min_length=1, max_length=MOST.confidence_fallbacks, fail_fast=True),
        AfterValidator(_in_turns),
    ] = Field(default_factory=lambda: [ABSTAIN])
    """``again`` (a sampled answer), ``base``, the name of an adapter, ``abstain`` or ``ask``."""


def _kind_of_bound(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    return (
        "least" if isinstance(value, (int, float)) else "bound" if isinstance(value, (dict, ConfidenceBound)) else None
    )


MinConfidence = Annotated[
    Annotated[LeastConfidence, Tag("least")] | Annotated[ConfidenceBound, Tag("bound")],
    by_kind(_kind_of_bound, "should be a number between 0 and 1, or an object with at_least and fallback"),
]
"""A number is a bound whose fallback is to abstain."""


def bound_of(value: float | ConfidenceBound | None) -> ConfidenceBound | None:
    """The bound that is asked for, in full."""
    return ConfidenceBound(at_least=value) if isinstance(value, float) else value
