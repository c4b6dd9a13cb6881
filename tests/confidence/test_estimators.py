"""Estimators: each against its formula by hand, and none of them on an answer without tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from adaptrix_core.confidence.evidence import AnswerEvidence, FurtherEvidence, Spread, TokenAttention
from adaptrix_core.confidence.further.code_running import code_runs
from adaptrix_core.confidence.scoring import answer_scores, check_estimators, evidence_needed, further_needed
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.extensions import CONFIDENCE_ESTIMATORS

SPREADS = (Spread(0.2, 0.9), Spread(1.1, 0.05), Spread(0.0, 1.0), Spread(0.5, 0.4))
LOGPROBS = (-0.1, -2.0, 0.0, -0.5)
LAYERS = (((0.9, 0.1), (0.2, 0.3)), ((0.5, 0.2), (0.1, 0.8)), ((0.7, 0.0), (0.3, 0.4)), ((0.1, 0.9), (0.0, 0.6)))
"""By token, two layers of two heads: the weight on the token before the one that attends, which is the one before."""
ATTENTION = tuple(
    TokenAttention(np.array(layers, np.float32), np.full((2, 2), at, np.float32)) for at, layers in enumerate(LAYERS)
)
ANSWER = AnswerEvidence((4, 5, 6, 7), LOGPROBS, SPREADS, "```python\ndef f(x):\n    return x\n```", ATTENTION)


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
        ("attention_entropy", -2.0),  # of the three tokens that have attended: 1, 2 and 3
        ("code_parses", 1.0),
    ],
)
def test_an_estimator_is_its_formula(name: str, wanted: float) -> None:
    assert answer_scores([name], ANSWER)[name] == pytest.approx(wanted)


def test_rauq_is_its_formula_in_the_layer_where_confidence_is_lowest() -> None:
    """Heads: mean weights of the second and third token are (0.4, 0.45) and (0.15, 0.5), so the second head in both."""
    first, second, third = (math.exp(value) for value in LOGPROBS[:3])
    means = []
    for weights in ((0.0, 0.9), (0.4, 0.6)):
        confidences = [first]
        for probability, weight in zip((second, third), weights, strict=True):
            confidences.append(0.2 * probability + 0.8 * weight * confidences[-1])
        means.append(sum(math.log(value) for value in confidences) / 3)
    assert answer_scores(["rauq"], ANSWER)["rauq"] == pytest.approx(min(means))


def test_rauq_begins_anew_where_a_layer_was_not_computed() -> None:
    unknown = TokenAttention(np.full((2, 2), np.nan, np.float32), np.full((2, 2), np.nan, np.float32))
    score = answer_scores(["rauq"], replace(ANSWER, attention=(unknown,) * 4))["rauq"]
    assert score == pytest.approx(sum(LOGPROBS[:3]) / 3)


def test_an_answer_without_tokens_has_no_score_by_any_estimator() -> None:
    assert answer_scores(CONFIDENCE_ESTIMATORS.names(), AnswerEvidence((), ())) == {}


ALL_FURTHER = FurtherEvidence(("4", "5"), (0.5, 0.25), ("4", "5"), -3.0, (-4.0, -5.0), True)


def test_an_answer_of_one_token_is_scored_by_every_estimator() -> None:
    names = CONFIDENCE_ESTIMATORS.names()
    one = AnswerEvidence((4,), (-0.7,), (Spread(0.3, 0.6),), "4", further=ALL_FURTHER)
    assert set(answer_scores(names, one)) == set(names)


SAID = "12 + 5 = 17\nAnswer: 1700."


@pytest.mark.parametrize(
    ("name", "further", "wanted"),
    [
        ("samples_agree", FurtherEvidence(samples=("Answer: 1,700", "17", "1700.0", "Answer: 18")), 0.5),
        ("samples_alike", FurtherEvidence(similarities=(0.9, 0.3, 0.6)), 0.6),
        ("cocoa", FurtherEvidence(similarities=(0.9, 0.3, 0.6)), -2.6 * 0.4),
        ("counterfactual", FurtherEvidence(under_base=-9.5), 6.9),
        ("others_likelihood", FurtherEvidence(under_others=(-4.0, -7.0)), -5.5),
        ("others_agree", FurtherEvidence(other_answers=("So it is\nAnswer: 1700", "Answer: 1699", "")), 1 / 3),
        ("code_runs", FurtherEvidence(runs=True), 1.0),
        ("code_runs", FurtherEvidence(runs=False), 0.0),
    ],
)
def test_an_estimator_of_further_evidence_is_its_formula(name: str, further: FurtherEvidence, wanted: float) -> None:
    answer = replace(ANSWER, text=SAID, further=further)
    assert answer_scores([name], answer)[name] == pytest.approx(wanted)


def test_where_further_evidence_was_not_computed_there_is_no_score_and_no_request_may_ask_for_one() -> None:
    names = [name for name in CONFIDENCE_ESTIMATORS.names() if further_needed([name])]
    assert len(names) == 7
    assert set(answer_scores([*names, "logprob_sum"], ANSWER)) == {"logprob_sum"}
    for name in names:
        with pytest.raises(InvalidRequest, match=r"engine\.confidence\.further"):
            check_estimators(["logprob_sum", name])
    check_estimators(["logprob_sum", "code_parses"])


RAN = "Try this:\n```python\ndef helper():\n    pass\ndef double(n):\n    return 2 * n\n```"


def test_code_runs_where_its_last_function_returns_for_some_probe() -> None:
    called: list[tuple[str, tuple[object, ...]]] = []

    def call(source: str, name: str, arguments: tuple[object, ...]) -> bool:
        assert "def double" in source
        called.append((name, arguments))
        return arguments == ("a b1",)

    assert code_runs(RAN, call)
    assert called == [("double", (5,)), ("double", ([3, -2, 4],)), ("double", ("a b1",))]
    assert not code_runs(RAN, lambda *_: False)
    assert not code_runs("x = 1", call)
    assert not code_runs("```python\ndef f(x) return x\n```", call)


def test_spreads_and_attention_are_asked_for_by_those_that_look_at_them_alone() -> None:
    needed = {name: evidence_needed([name]) for name in CONFIDENCE_ESTIMATORS.names()}
    assert {name for name, one in needed.items() if one.spread} == {"entropy_mean", "entropy_max", "margin_min"}
    assert {name for name, one in needed.items() if one.attention} == {"rauq", "attention_entropy"}
    assert not any(evidence_needed([]))


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
