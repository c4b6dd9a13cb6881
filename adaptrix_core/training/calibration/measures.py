"""How good scores and probabilities are: AUROC, prediction rejection ratio, expected calibration error, coverage.

Arrays are ``(answers,)``: ``scores`` and ``probabilities`` as floats, ``right`` as booleans. There must be right
answers and wrong ones, where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

BINS = 10
"""Equal bins of probability in `calibration_error`, as in Guo et al. 2017 (arXiv:1706.04599)."""
_DRAWS = 1000


def auroc(scores: Floats, right: Marks) -> float:
    """The probability that a right answer has a higher score than a wrong one, ties counted half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(right, scores))


def rejection_ratio(scores: Floats, right: Marks) -> float:
    """Prediction rejection ratio (Malinin et al. 2017), over all rejection rates.

    The gain in accuracy by keeping the answers with the highest scores, averaged over how many are kept, as a share of
    the gain by keeping right answers first: 1 for perfect scores, 0 for random ones. Ties count as if in random order.
    """
    by_score = _mean_kept(_ties_shared(scores, right))
    perfect = _mean_kept(np.sort(right.astype(float))[::-1])
    return float((by_score - right.mean()) / (perfect - right.mean()))


def _mean_kept(in_order: Floats) -> float:
    return float((in_order.cumsum() / np.arange(1, len(in_order) + 1)).mean())


def _ties_shared(scores: Floats, right: Marks) -> Floats:
    """Shares of right answers from the highest score down, the same for all answers of one score."""
    _, place = np.unique(-scores, return_inverse=True)
    shares = np.bincount(place, weights=right) / np.bincount(place)
    return np.asarray(shares[np.sort(place)], dtype=float)


def calibration_error(probabilities: Floats, right: Marks) -> float:
    """Expected calibration error: how far the share of right answers is from the mean probability, over equal bins."""
    return float(_error(probabilities, right[None].astype(float))[0])


def calibration_error_floor(probabilities: Floats, seed: int = 0) -> float:
    """The mean calibration error of a perfect predictor with these probabilities, on as many answers.

    So much is there by chance: each answer is right with exactly its probability, drawn a thousand times.
    """
    draws = np.random.default_rng(seed).random((_DRAWS, len(probabilities))) < probabilities
    return float(_error(probabilities, draws.astype(float)).mean())


def _error(probabilities: Floats, right: Floats) -> Floats:
    """One error for each row of ``right``, ``(draws, answers)``."""
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    total = np.zeros(len(right))
    for number in range(BINS):
        mine = bins == number
        if mine.any():
            total += np.abs(right[:, mine].mean(1) - probabilities[mine].mean()) * mine.mean()
    return total


def bootstrap_error(
    measure: Callable[[Floats, Marks], float], values: Floats, right: Marks, draws: int = 200, seed: int = 0
) -> float:
    """Standard error of a measure by the bootstrap: its standard deviation over answers drawn with replacement."""
    rng = np.random.default_rng(seed)
    found: list[float] = []
    while len(found) < draws:
        chosen = rng.integers(0, len(right), len(right))
        if 0 < right[chosen].sum() < len(right):
            found.append(measure(values[chosen], right[chosen]))
    return float(np.std(found, ddof=1))


def coverage_curve(probabilities: Floats, right: Marks, points: int = 20) -> list[tuple[float, float, float]]:
    """(threshold, coverage, accuracy) from few answers to all of them, at most ``points`` of them.

    Coverage is the share of answers with at least the threshold's probability, accuracy the share of right ones in it.
    """
    order = np.argsort(-probabilities, kind="stable")
    ordered, marks = probabilities[order], right[order]
    curve: dict[float, tuple[float, float, float]] = {}
    for part in np.linspace(1 / points, 1, points):
        threshold = float(ordered[max(0, round(part * len(ordered)) - 1)])
        kept = int((ordered >= threshold).sum())
        curve[threshold] = (threshold, kept / len(ordered), float(marks[:kept].mean()))
    return list(curve.values())


def most_coverage(probabilities: Floats, right: Marks, accuracy: float, least: int = 20) -> float:
    """The largest share of answers, from the most probable down, of which ``accuracy`` are right; 0 where none is.

    least: fewer answers than these prove nothing and are not looked at.
    """
    ordered = _ties_shared(probabilities, right)
    so_far = ordered.cumsum() / np.arange(1, len(ordered) + 1)
    enough = np.nonzero(so_far[least - 1 :] >= accuracy - 1e-12)[0]
    return float((enough[-1] + least) / len(ordered)) if len(enough) else 0.0
