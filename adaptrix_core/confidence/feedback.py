"""What people say of answers moves how sure an answer must be for them: by adapter, and within bounds.

A calibration is of the questions that it was measured on. Somebody whose questions are harder, or easier, says of
answers whether they were right; from that follows one number, by which the confidence that is asked for is moved. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

RAISED_MOST = 1.5
"""How far a threshold may be raised, in log-odds: one of 0.7 to 0.91 at most."""
LOWERED_MOST = 0.5
"""How far it may be lowered: less, as too low a threshold gives wrong answers. One of 0.7 comes to 0.59 at least."""
EXPECTED = 0.7
"""Standard deviation in log-odds of how far questions differ from those of a calibration, before any label: few labels
move little. Those of the shipped adapters: 1.3 easier where held-out, 0.4 harder where freely worded."""
_HALVINGS = 40
_SMALLEST = 1e-4
"""Least chance whose log-odds are told apart; answers tell four digits."""


@dataclass(frozen=True)
class AnswerLabel:
    """Whether one answer was right."""

    answerer: str
    """Who gave it, as calibrations name it: a package digest, or ``base``."""
    confidence: float
    """The calibrated one, 0 to 1."""
    right: bool

    def as_row(self) -> list[Any]:
        """As JSON."""
        return [self.answerer, self.confidence, self.right]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """From `as_row`. Raises ValueError or TypeError for anything else."""
        answerer, confidence, right = row
        if not isinstance(answerer, str) or not isinstance(right, bool) or not 0 <= float(confidence) <= 1:
            raise ValueError(f"{row!r:.80} is no label of an answer")
        return cls(answerer, float(confidence), right)


def thresholds_moved(labels: Iterable[AnswerLabel]) -> dict[str, float]:
    """By who answers, how far labels move a threshold, in log-odds: above 0 where answers were right less often than
    their confidence says. Between ``-LOWERED_MOST`` and `RAISED_MOST`.

    The likeliest shift between confidence and truth, given the labels and that it is small (a logistic regression on
    the confidence's log-odds with its slope held at 1 and a normal prior on its intercept).
    """
    by_answerer: dict[str, list[AnswerLabel]] = {}
    for label in labels:
        by_answerer.setdefault(label.answerer, []).append(label)
    return {answerer: _moved(told) for answerer, told in by_answerer.items()}


def threshold_for(at_least: float, moved: Mapping[str, float], answerer: str) -> float:
    """The least confidence of an answer where ``at_least`` is asked for, 0 to 1."""
    return _chance(_log_odds(at_least) + moved[answerer]) if answerer in moved else at_least


def _moved(labels: Sequence[AnswerLabel]) -> float:
    odds = [(_log_odds(label.confidence), label.right) for label in labels]
    low, high = -LOWERED_MOST, RAISED_MOST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        # The slope of the log-posterior at this move falls as the move rises, and is 0 where it is likeliest.
        slope = sum(_chance(value - middle) - right for value, right in odds) - middle / EXPECTED**2
        low, high = (middle, high) if slope > 0 else (low, middle)
    return (low + high) / 2


def _log_odds(chance: float) -> float:
    inside = min(max(chance, _SMALLEST), 1 - _SMALLEST)
    return math.log(inside / (1 - inside))


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
