"""How sure a finished answer is: its scores, and its confidence where a calibration holds for it."""

from __future__ import annotations

from adaptrix_core.confidence.calibration import ConfidenceCalibration
from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.confidence.scoring import answer_scores

ENDED_BY_ITSELF = "stop"
"""The finish reason of an answer that can have a confidence: one that was cut off says nothing of its rest."""


def confidence_of(
    answer: AnswerEvidence, finish_reason: str | None, calibration: ConfidenceCalibration | None
) -> float | None:
    """The calibrated probability that the answer is right, 0 to 1.

    None without a calibration, for an answer that did not end by itself, for one without any text, and where what the
    calibration's estimator looks at is not known. Raises ExtensionError where the estimator fails.
    """
    if calibration is None or finish_reason != ENDED_BY_ITSELF or not answer.text.strip() or not answer.logprobs:
        return None
    score = answer_scores([calibration.estimator], answer).get(calibration.estimator)
    return None if score is None else calibration.probability(score)
