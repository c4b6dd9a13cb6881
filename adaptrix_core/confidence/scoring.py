"""Scores answers by the estimators that a request names.

Estimators may come from other packages (`extensions.py`), so what they say is checked, and one that fails is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.errors import ExtensionError, InvalidRequest
from adaptrix_core.extensions import CONFIDENCE_ESTIMATORS, ConfidenceEstimator


def check_estimators(names: Iterable[str], param: str = "adaptrix.scores") -> None:
    """Raise UnknownExtension or ExtensionError, naming ``param``, unless each of these can be used.

    Raises InvalidRequest for one that looks at more than the answer itself: no request computes that.
    """
    for name in names:
        try:
            needed = further_needed([name])
        except ExtensionError as error:
            error.param = param
            raise
        if needed:
            raise InvalidRequest(
                f"the estimator {name!r} looks at what is computed beside the answer ({', '.join(sorted(needed))}), "
                "which requests do not compute; the library does: `adaptrix_core.engine.confidence.further`",
                param=param,
            )


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


def further_needed(names: Iterable[str]) -> frozenset[str]:
    """The fields of `FurtherEvidence` that these estimators look at. Raises ExtensionError."""
    return frozenset(field for name in names for field in _needs_further(CONFIDENCE_ESTIMATORS.get(name)))


def answer_scores(names: Iterable[str], answer: AnswerEvidence) -> dict[str, float]:
    """The answer's score by each of these estimators for which there is evidence. Raises ExtensionError.

    There is none in an answer without tokens.
    """
    if not answer.logprobs:
        return {}
    estimators = {name: CONFIDENCE_ESTIMATORS.get(name) for name in names}
    return {
        name: _score(name, estimator, answer)
        for name, estimator in estimators.items()
        if all(map(answer.further.has, _needs_further(estimator)))
    }


def _needs_further(estimator: ConfidenceEstimator) -> tuple[str, ...]:
    return tuple(getattr(estimator, "needs_further", ()))


def _score(name: str, estimator: ConfidenceEstimator, answer: AnswerEvidence) -> float:
    try:
        score = float(estimator.score(answer))
        if not math.isfinite(score):
            raise ValueError(f"its score is {score}")
    except Exception as error:
        raise ExtensionError(f"confidence estimator {name!r} has failed: {type(error).__name__}: {error}") from error
    return score
