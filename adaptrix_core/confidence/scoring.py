"""Scores answers by the estimators that a request names.

Estimators may come from other packages (`extensions.py`), so what they say is checked, and one that fails is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.errors import ExtensionError
from adaptrix_core.extensions import CONFIDENCE_ESTIMATORS


def check_estimators(names: Iterable[str], param: str = "adaptrix.scores") -> None:
    """Raise UnknownExtension or ExtensionError, naming ``param``, unless each of these can be used."""
    for name in names:
        try:
            CONFIDENCE_ESTIMATORS.get(name)
        except ExtensionError as error:
            error.param = param
            raise


class EvidenceNeeded(NamedTuple):
    """What has to be computed beside an answer for its estimators, where anybody asks for it."""

    spread: bool = False
    """The spread of each token's distribution."""
    attention: bool = False
    """The attention that each token was chosen from."""

    def either(self, other: EvidenceNeeded) -> EvidenceNeeded:
        """What one of two needs."""
        return EvidenceNeeded(self.spread or other.spread, self.attention or other.attention)


def evidence_needed(names: Iterable[str]) -> EvidenceNeeded:
    """What these estimators look at beside tokens and their probabilities. Raises ExtensionError."""
    estimators = [CONFIDENCE_ESTIMATORS.get(name) for name in names]
    return EvidenceNeeded(
        any(getattr(estimator, "needs_spread", False) for estimator in estimators),
        any(getattr(estimator, "needs_attention", False) for estimator in estimators),
    )


def answer_scores(names: Iterable[str], answer: AnswerEvidence) -> dict[str, float]:
    """The answer's score by each of these estimators; none of an answer without tokens. Raises ExtensionError."""
    return {name: _score(name, answer) for name in names} if answer.logprobs else {}


def _score(name: str, answer: AnswerEvidence) -> float:
    estimator = CONFIDENCE_ESTIMATORS.get(name)
    try:
        score = float(estimator.score(answer))
        if not math.isfinite(score):
            raise ValueError(f"its score is {score}")
    except Exception as error:
        raise ExtensionError(f"confidence estimator {name!r} has failed: {type(error).__name__}: {error}") from error
    return score
