"""Curves of policies: each point against counting by hand, and what a calibration keeps of them."""

from __future__ import annotations

import numpy as np
import pytest

from adaptrix_core.training.calibration.answers import MarkedAnswer
from adaptrix_core.training.calibration.calibrate import Answerer, FallbackAnswers, calibrated
from adaptrix_core.training.calibration.fitting import fit
from adaptrix_core.training.calibration.measures import coverage_curve
from adaptrix_core.training.calibration.policies import PolicyAnswers, outcome_at, policy_curve
from tests.confidence.test_calibration import calibration


def answers(right: str, *confidence: float) -> PolicyAnswers:
    marks = np.array([mark == "+" for mark in right], dtype=bool)
    return PolicyAnswers(marks, np.array(confidence) if confidence else None)


FIRST = answers("++--+-", 0.9, 0.8, 0.7, 0.4, 0.3, 0.1)


@pytest.mark.parametrize(
    ("threshold", "fallbacks", "coverage", "accuracy"),
    [
        (0.7, [], 3 / 6, 2 / 3),
        (0.7, [answers("---++-", 0.9, 0.9, 0.9, 0.8, 0.2, 0.7)], 5 / 6, 3 / 5),
        (0.7, [answers("-----+")], 1.0, 3 / 6),
        (0.7, [answers("---++-", 0.9, 0.9, 0.9, 0.8, 0.2, 0.7), answers("----+-")], 1.0, 4 / 6),
        (0.95, [answers("------", *[0.1] * 6)], 0.0, 0.0),
    ],
)
def test_each_question_has_the_first_answer_that_is_sure_enough(
    threshold: float, fallbacks: list[PolicyAnswers], coverage: float, accuracy: float
) -> None:
    assert outcome_at(threshold, [FIRST, *fallbacks]) == pytest.approx((coverage, accuracy))


def test_without_fallbacks_the_curve_is_that_of_the_threshold() -> None:
    assert FIRST.confidence is not None
    assert policy_curve(FIRST, []) == coverage_curve(FIRST.confidence, FIRST.right)


def test_the_confidence_of_a_further_answer_is_by_a_curve_that_has_not_seen_its_question() -> None:
    scores = np.array([0.0, 1.0] * 100)
    groups = [str(number // 20) for number in range(200)]
    odd = np.array([number // 20 == 3 for number in range(200)])
    fitted = fit(scores, np.where(odd, scores == 0.0, scores == 1.0), groups)
    assert fitted.foretell(scores).tolist() == fitted.foretold.tolist()
    assert (fitted.foretell(1 - scores)[odd & (scores == 0.0)] > 0.5).all(), "other questions have told that 1 is right"


def marked(scores: list[float], right: list[bool]) -> list[MarkedAnswer]:
    return [
        MarkedAnswer(str(n), "data", "", str(n), "q", "a", mark, (1,) if score else (), (score,) if score else (), ())
        for n, (score, mark) in enumerate(zip(scores, right, strict=True))
    ]


def test_a_calibration_keeps_the_curve_of_each_policy() -> None:
    rng = np.random.default_rng(0)
    scores = [-float(value) for value in rng.uniform(0.1, 4, 119)] + [0.0]  # the last one says nothing
    right = [bool(mark) for mark in rng.random(120) < np.exp(np.array(scores) / 2)]
    first, silent = marked(scores, right), marked([0.0] * 120, [False] * 120)
    wrong = marked([-1.0] * 120, [False] * 120)
    fallbacks = {
        "again": FallbackAnswers(silent),
        "base": FallbackAnswers(wrong),
        "unsure": FallbackAnswers(wrong, calibration(slope=1.0, intercept=-20.0)),
    }
    policies = [("again",), ("base",), ("unsure", "base")]
    who = Answerer("base", "base", "org/base", "c" * 64, "int4")
    made = calibrated(first, who, "logprob_sum", {}, fallbacks, policies)
    assert list(made.policies) == ["again", "base", "unsure,base"]
    assert made.policies["again"] == made.curve, "what says nothing is given in nobody's place"
    assert made.policies["unsure,base"] == made.policies["base"], "its confidence is below every threshold"
    for given, before in zip(made.policies["base"], made.curve, strict=True):
        assert (given.threshold, given.coverage) == (before.threshold, 1.0)
        assert given.accuracy == pytest.approx(before.accuracy * before.coverage)
    assert type(made).model_validate_json(made.model_dump_json()) == made
