"""What policies of holding back do, by threshold: how many questions get an answer, and how many of these are right.

A policy is who answers first and the fallbacks after it, as in `min_confidence`; after the last one nobody answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from adaptrix_core.training.calibration.measures import Floats, Marks, coverage_curve


@dataclass(frozen=True)
class PolicyAnswers:
    """The answers of one who is asked, to the same questions in the same order."""

    right: Marks
    confidence: Floats | None
    """The probability foretold of each; None for one who is not calibrated: its answers are given as they are."""

    def given_at(self, threshold: float) -> Marks:
        """Which of them are sure enough."""
        return np.ones_like(self.right) if self.confidence is None else self.confidence >= threshold


def policy_curve(
    first: PolicyAnswers, fallbacks: Sequence[PolicyAnswers], points: int = 20
) -> list[tuple[float, float, float]]:
    """(threshold, coverage, accuracy) from the highest threshold to the lowest, at most ``points`` of them.

    first: calibrated; its confidences are the thresholds. A threshold at which nothing is given is left out.
    """
    assert first.confidence is not None
    thresholds = [threshold for threshold, _, _ in coverage_curve(first.confidence, first.right, points)]
    told = [(threshold, *outcome_at(threshold, [first, *fallbacks])) for threshold in thresholds]
    return [(threshold, coverage, accuracy) for threshold, coverage, accuracy in told if coverage]


def outcome_at(threshold: float, asked: Sequence[PolicyAnswers]) -> tuple[float, float]:
    """Coverage and accuracy where these are asked in turns until an answer is sure enough; both 0 where none is."""
    open_ones = np.ones_like(asked[0].right)
    num_given = num_right = 0
    for one in asked:
        given = open_ones & one.given_at(threshold)
        num_given += int(given.sum())
        num_right += int((given & one.right).sum())
        open_ones = open_ones & ~given
    return num_given / len(open_ones), num_right / num_given if num_given else 0.0
