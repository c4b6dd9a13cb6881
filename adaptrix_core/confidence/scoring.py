"""Scores answers by the estimators that a request names.

Estimators may come from other packages (`extensions.py`), so what they say is checked, and one that fails is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

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


def need_spread(names: Iterable[str]) -> bool:
    """Whether one of these estimators looks at the spread of each token's distribution. Raises ExtensionError."""
    return any(getattr(CONFIDENCE_ESTIMATORS.get(name), "needs_spread", False) for name in names)


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
