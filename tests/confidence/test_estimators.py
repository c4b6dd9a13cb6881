"""Estimators: each against its formula by hand, and none of them on an answer without tokens."""

from __future__ import annotations

import math

import pytest

from adaptrix_core.confidence.evidence import AnswerEvidence, Spread
from adaptrix_core.confidence.scoring import answer_scores, need_spread
from adaptrix_core.extensions import CONFIDENCE_ESTIMATORS

SPREADS = (Spread(0.2, 0.9), Spread(1.1, 0.05), Spread(0.0, 1.0), Spread(0.5, 0.4))
ANSWER = AnswerEvidence((4, 5, 6, 7), (-0.1, -2.0, 0.0, -0.5), SPREADS, "```python\ndef f(x):\n    return x\n```")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("logprob_sum", -2.6),
        ("logprob_mean", -0.65),
        ("perplexity", -math.exp(0.65)),
        ("lowest_logprobs", -2.6 / 3),
        ("entropy_mean", -0.45),
        ("entropy_max", -1.1),
        ("margin_min", 0.05),
        ("code_parses", 1.0),
    ],
)
def test_an_estimator_is_its_formula(name: str, wanted: float) -> None:
    assert answer_scores([name], ANSWER)[name] == pytest.approx(wanted)


def test_an_answer_without_tokens_has_no_score_by_any_estimator() -> None:
    assert answer_scores(CONFIDENCE_ESTIMATORS.names(), AnswerEvidence((), ())) == {}


def test_an_answer_of_one_token_is_scored_by_every_estimator() -> None:
    names = CONFIDENCE_ESTIMATORS.names()
    one = AnswerEvidence((4,), (-0.7,), (Spread(0.3, 0.6),), "4")
    assert set(answer_scores(names, one)) == set(names)


def test_spreads_are_asked_for_by_those_that_look_at_them_alone() -> None:
    asking = {name for name in CONFIDENCE_ESTIMATORS.names() if need_spread([name])}
    assert asking == {"entropy_mean", "entropy_max", "margin_min"}
    assert not need_spread([])


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("def f(x):\n    return x", 1.0),
        ("Here:\n```\nx = 1\n```", 0.5),
        ("```python\ndef f(x) return x\n```", 0.0),
        ("The answer is 4.", 0.0),
        ("", 0.0),
        ("(" * 15_000, 0.0),
        ("x = '" + "a" * 30_000 + "'", 0.0),
        ("def f():\n    return '\\d'", 1.0),
        ("\0", 0.0),
    ],
)
def test_code_parses_or_not_whatever_a_model_writes(text: str, score: float) -> None:
    assert answer_scores(["code_parses"], AnswerEvidence((4,), (-0.7,), (), text)) == {"code_parses": score}
