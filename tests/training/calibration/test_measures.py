"""Measures of confidence, each against its plain definition, and the fits, on answers whose truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from adaptrix_core.training.calibration.fitting import fit
from adaptrix_core.training.calibration.measures import (
    auroc,
    bootstrap_error,
    calibration_error,
    calibration_error_floor,
    coverage_curve,
    most_coverage,
    rejection_ratio,
)

RNG = np.random.default_rng(7)
SCORES = RNG.normal(size=60).round(1)
RIGHT = RNG.random(60) < 1 / (1 + np.exp(-SCORES))


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    pairs = list(itertools.product(SCORES[RIGHT], SCORES[~RIGHT]))
    assert auroc(SCORES, RIGHT) == pytest.approx(np.mean([(a > b) + 0.5 * (a == b) for a, b in pairs]))


def test_the_rejection_ratio_is_one_for_perfect_scores_zero_for_equal_ones_and_less_for_reversed_ones() -> None:
    assert rejection_ratio(RIGHT.astype(float), RIGHT) == pytest.approx(1.0)
    assert rejection_ratio(np.zeros(60), RIGHT) == pytest.approx(0.0, abs=1e-12)
    assert rejection_ratio(-RIGHT.astype(float), RIGHT) < 0
    distinct = np.arange(5.0)
    right = np.array([False, True, False, True, True])
    kept = [1, 2 / 2, 2 / 3, 3 / 4, 3 / 5]
    perfect = [1, 1, 1, 3 / 4, 3 / 5]
    assert rejection_ratio(distinct, right) == pytest.approx((np.mean(kept) - 0.6) / (np.mean(perfect) - 0.6))


def test_the_calibration_error_is_the_weighted_distance_of_each_bin() -> None:
    probabilities = np.array([0.05, 0.05, 0.95, 0.95])
    right = np.array([False, True, True, True])
    assert calibration_error(probabilities, right) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)


@pytest.mark.parametrize(("answers", "floor"), [(240, 0.067), (1000, 0.032)])
def test_the_floor_is_what_a_perfect_predictor_has(answers: int, floor: float) -> None:
    probabilities = RNG.random(answers)
    assert calibration_error_floor(probabilities) == pytest.approx(floor, abs=0.012)


def test_the_bootstrap_gives_the_standard_error_of_a_mean() -> None:
    right = np.arange(400) % 2 == 0
    assert bootstrap_error(lambda _, marks: float(marks.mean()), SCORES[:1].repeat(400), right) == pytest.approx(
        0.025, abs=0.006
    )


def test_coverage_falls_with_the_threshold_and_accuracy_is_that_of_the_answers_above_it() -> None:
    probabilities = RNG.random(200).round(2)
    right = RNG.random(200) < probabilities
    curve = coverage_curve(probabilities, right)
    assert curve[-1][1:] == (1.0, right.mean())
    for threshold, coverage, accuracy in curve:
        kept = probabilities >= threshold
        assert coverage == pytest.approx(kept.mean())
        assert accuracy == pytest.approx(right[kept].mean())
    assert most_coverage(probabilities, right, accuracy=0.0) == 1.0
    assert most_coverage(-probabilities, right, accuracy=0.99) == 0.0


def test_both_methods_find_the_true_probability_and_what_is_foretold_is_calibrated() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=3000) * 4
    true = 1 / (1 + np.exp(-(0.8 * scores + 0.5)))
    right = rng.random(3000) < true
    fitted = fit(scores, right, [str(number) for number in range(3000)])
    assert np.abs(fitted.curve.probabilities(scores) - true).mean() < 0.03
    assert calibration_error(fitted.foretold, right) < calibration_error_floor(fitted.foretold) + 0.015
    assert set(fitted.losses) == {"platt", "isotonic"}


def test_a_bent_truth_is_fitted_by_isotonic_steps() -> None:
    rng = np.random.default_rng(4)
    scores = rng.random(3000)
    right = rng.random(3000) < np.where(scores < 0.5, 0.1, 0.6)
    fitted = fit(scores, right, [str(number) for number in range(3000)])
    assert fitted.curve.method == "isotonic"
    assert fitted.curve.probabilities(np.array([0.25, 0.75])) == pytest.approx([0.1, 0.6], abs=0.06)


def test_scores_that_are_higher_for_wrong_answers_are_refused() -> None:
    right = np.arange(200) % 2 == 0
    with pytest.raises(ValueError, match="not likelier right"):
        fit(-right.astype(float), right, [str(number) for number in range(200)])


def test_what_is_foretold_of_a_group_was_learnt_on_others() -> None:
    scores = np.array([0.0, 1.0] * 100)
    groups = [str(number // 20) for number in range(200)]
    odd = np.array([number // 20 == 3 for number in range(200)])
    right = np.where(odd, scores == 0.0, scores == 1.0)
    foretold = fit(scores, right, groups).foretold
    assert (foretold[odd & (scores == 1.0)] > 0.5).all(), "its own answers, all wrong there, have not told"
