"""From scores to probabilities: Platt scaling or isotonic regression, whichever foretells unseen answers better.

Platt 1999; Zadrozny and Elkan 2002. Both are scikit-learn's. Free wordings are kept whole: what is foretold of a
wording was learnt on others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.confidence.calibration import interpolated
from adaptrix_core.training.calibration.measures import Floats, Marks

FOLDS = 5
Places = NDArray[np.int64]
Method = Literal["platt", "isotonic"]


@dataclass(frozen=True)
class FittedCurve:
    """A rising function from score to probability."""

    method: Method
    slope: float = 0.0
    intercept: float = 0.0
    steps: tuple[tuple[float, float], ...] = ()

    def probabilities(self, scores: Floats) -> Floats:
        """Of each score, ``(answers,)``."""
        if self.method == "platt":
            return np.asarray(1.0 / (1.0 + np.exp(-np.clip(self.slope * scores + self.intercept, -60, 60))))
        return np.array([interpolated(self.steps, score) for score in scores])


@dataclass(frozen=True)
class Fit:
    """The curve fitted on all answers, and what was foretold of each by a curve that had not seen it."""

    curve: FittedCurve
    foretold: Floats
    losses: dict[Method, float]
    """By method, the mean log loss in nats of what it foretold."""
    unseen: Sequence[tuple[Places, FittedCurve]]
    """Curves of the cross-validation, each with the places of the answers that it has not seen."""

    def foretell(self, scores: Floats) -> Floats:
        """The probability of other answers to the same questions, each by the curve that has not seen its question."""
        return _by_unseen(self.unseen, scores)


def fit(scores: Floats, right: Marks, groups: Sequence[str]) -> Fit:
    """Fit both methods with cross-validation by groups, and take the one with the lower log loss.

    Scores must tell something: where higher ones are not likelier right, ValueError.
    """
    curves = {method: _unseen_curves(make, scores, right, groups) for method, make in _METHODS.items()}
    foretold = {method: _by_unseen(unseen, scores) for method, unseen in curves.items()}
    losses = {method: _log_loss(values, right) for method, values in foretold.items()}
    best: Method = "isotonic" if losses["isotonic"] < losses["platt"] else "platt"
    return Fit(_METHODS[best](scores, right), foretold[best], losses, curves[best])


def _platt(scores: Floats, right: Marks) -> FittedCurve:
    from sklearn.linear_model import LogisticRegression

    centre, width = float(scores.mean()), float(scores.std()) or 1.0
    model = LogisticRegression(C=1e4).fit(((scores - centre) / width)[:, None], right)
    slope = float(model.coef_[0, 0]) / width
    if slope <= 0:
        raise ValueError("answers with higher scores are not likelier right; take another estimator, or more answers")
    return FittedCurve("platt", slope, float(model.intercept_[0]) - slope * centre)


def _isotonic(scores: Floats, right: Marks) -> FittedCurve:
    from sklearn.isotonic import IsotonicRegression

    least = 1 / (2 + len(right))  # of so few answers none is certain
    model = IsotonicRegression(y_min=least, y_max=1 - least).fit(scores, right.astype(float))
    steps = zip(model.X_thresholds_.tolist(), model.y_thresholds_.tolist(), strict=True)
    return FittedCurve("isotonic", steps=tuple(dict(steps).items()))


_METHODS: dict[Method, Callable[[Floats, Marks], FittedCurve]] = {"platt": _platt, "isotonic": _isotonic}


def _unseen_curves(
    make: Callable[[Floats, Marks], FittedCurve], scores: Floats, right: Marks, groups: Sequence[str]
) -> list[tuple[Places, FittedCurve]]:
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    return [(unseen, make(scores[seen], right[seen])) for seen, unseen in folds.split(scores[:, None], right, groups)]


def _by_unseen(curves: Sequence[tuple[Places, FittedCurve]], scores: Floats) -> Floats:
    foretold = np.zeros(len(scores))
    for places, curve in curves:
        foretold[places] = curve.probabilities(scores[places])
    return foretold


def _log_loss(probabilities: Floats, right: Marks) -> float:
    said = np.clip(np.where(right, probabilities, 1 - probabilities), 1e-6, 1.0)
    return float(-np.log(said).mean())
