"""The figures of one estimator: how it orders answers, by family and kind, and what its probabilities are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrix_core.training.calibration.answers import MarkedAnswer
from adaptrix_core.training.calibration.calibrate import scored
from adaptrix_core.training.calibration.fitting import fit
from adaptrix_core.training.calibration.measures import (
    Floats,
    Marks,
    auroc,
    bootstrap_error,
    calibration_error,
    calibration_error_floor,
    most_coverage,
    rejection_ratio,
)


@dataclass(frozen=True)
class Judged:
    """Answers with a score for each, by family."""

    answers: Sequence[MarkedAnswer]
    scores: Floats

    @property
    def right(self) -> Marks:
        """Whether each answer is right."""
        return np.array([answer.right for answer in self.answers], dtype=bool)


def judged_by(answers: Mapping[str, Sequence[MarkedAnswer]], estimator: str) -> dict[str, Judged]:
    """The scores of all answers by an estimator."""
    return {name: Judged(found, scored(found, estimator)[0]) for name, found in answers.items()}


def row_of(judged: Mapping[str, Judged]) -> dict[str, float]:
    """The figures of one estimator: over all families and by family, by kind of question, and once calibrated."""
    scores = np.concatenate([one.scores for one in judged.values()])
    right = np.concatenate([one.right for one in judged.values()])
    kinds = np.array([answer.kind for one in judged.values() for answer in one.answers])
    row = {
        "answers": len(right),
        "auroc": auroc(scores, right),
        "auroc_se": bootstrap_error(auroc, scores, right),
        "prr": rejection_ratio(scores, right),
        "prr_se": bootstrap_error(rejection_ratio, scores, right),
    }
    row |= {f"auroc_{name}": auroc(one.scores, one.right) for name, one in judged.items()}
    row |= {f"auroc_{kind}": auroc(scores[kinds == kind], right[kinds == kind]) for kind in ("free", "hard")}
    foretold = foretold_by(judged)
    if foretold is not None:
        free = kinds == "free"
        row |= {
            "ece": calibration_error(foretold, right),
            "ece_floor": calibration_error_floor(foretold),
            "ece_free": calibration_error(foretold[free], right[free]),
            "coverage_at_90": most_coverage(foretold, right, 0.9),
        }
    return {name: round(float(value), 4) for name, value in row.items()}


def shift_of(judged: Mapping[str, Judged]) -> dict[str, float]:
    """What probabilities are worth on free wordings where they were fitted on held-out problems alone."""
    said, right = [], []
    for one in judged.values():
        kinds = np.array([answer.kind for answer in one.answers])
        held_out, free = kinds == "held-out", kinds == "free"
        groups = [answer.group for answer in one.answers if answer.kind == "held-out"]
        said.append(fit(one.scores[held_out], one.right[held_out], groups).curve.probabilities(one.scores[free]))
        right.append(one.right[free])
    probabilities, marks = np.concatenate(said), np.concatenate(right)
    return {
        "answers": len(marks),
        "mean_confidence": round(float(probabilities.mean()), 4),
        "right": round(float(marks.mean()), 4),
        "ece": round(calibration_error(probabilities, marks), 4),
    }


def foretold_by(judged: Mapping[str, Judged]) -> Floats | None:
    """The probability foretold of each answer, calibrated by family; None for a score that teaches nothing."""
    try:
        return np.concatenate(
            [fit(one.scores, one.right, [answer.group for answer in one.answers]).foretold for one in judged.values()]
        )
    except ValueError:
        return None
