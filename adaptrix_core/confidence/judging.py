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

    None without a calibration, for an answer that did not end by itself, and for one without any text. Raises
    ExtensionError where the calibration's estimator fails.
    """
    if calibration is None or finish_reason != ENDED_BY_ITSELF or not answer.text.strip() or not answer.logprobs:
        return None
    return calibration.probability(answer_scores([calibration.estimator], answer)[calibration.estimator])
