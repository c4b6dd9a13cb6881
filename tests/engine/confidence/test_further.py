"""What needs further computing of an answer: each part against the same asked by hand, and what is missing is named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.confidence.scoring import answer_scores
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.engine.confidence.further import FurtherSources, generate_compared, likelihoods, with_further
from adaptrix_core.errors import AdapterNotFound, InvalidRequest
from tests.engine.conftest import MakeEngine
from tests.tiny_models import byte_tokenizer, random_prompts

PROMPTS = random_prompts([6, 9])
GREEDY = SamplingParams(max_tokens=5, temperature=0.0, ignore_eos=True)


def by_letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """An embedder for tests: letters counted, of length 1."""
    counts = np.array([[1.0 + text.count(letter) for letter in "aeimnrt \n"] for text in texts], np.float32)
    return np.asarray(counts / np.linalg.norm(counts, axis=1, keepdims=True), np.float32)


SOURCES = FurtherSources(2, 3, ("blue", None), by_letters, lambda source, name, arguments: True)
ALL = ("samples", "similarities", "other_answers", "under_base", "under_others", "runs")


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    return make_engine(tokenizer=byte_tokenizer())


def answered(engine: Engine) -> list[AnswerEvidence]:
    made = engine.generate(PROMPTS, "red", SamplingParams(max_tokens=5, temperature=0.0, ignore_eos=True, logprobs=0))
    return [AnswerEvidence(one.token_ids, one.logprobs or (), (), one.text) for one in made]


def test_each_field_is_what_asking_by_hand_gives(engine: Engine) -> None:
    answers = answered(engine)
    found = [one.further for one in with_further(engine, PROMPTS, "red", answers, ALL, SOURCES, GREEDY)]
    sampling = SamplingParams(max_tokens=5, temperature=0.7, seed=3, n=2, ignore_eos=True)
    samples = [one.text for one in engine.generate(PROMPTS, "red", sampling)]
    assert [text for one in found for text in one.samples] == samples
    vectors = by_letters([answers[1].text, *samples[2:]])
    assert found[1].similarities == pytest.approx((vectors[1:] @ vectors[0]).tolist())
    for choice, place in (("blue", 0), (None, 1)):
        texts = [one.text for one in engine.generate(PROMPTS, choice, GREEDY)]
        assert [one.other_answers[place] for one in found] == texts
    assert [one.runs for one in found] == [False, False]


def test_an_answer_is_as_likely_under_a_mix_as_its_tokens_are_there(engine: Engine) -> None:
    answers = answered(engine)
    own, base = zip(*likelihoods(engine, PROMPTS, answers, ("red", None)), strict=True)
    assert own == pytest.approx([sum(one.logprobs) for one in answers], abs=1e-4)
    for prompt, answer, found in zip(PROMPTS, answers, base, strict=True):
        (logits,) = engine.logits([(*prompt, *answer.token_ids)], None)
        rows = logits.log_softmax(-1)[len(prompt) - 1 : -1]
        wanted = sum(row[token].item() for row, token in zip(rows, answer.token_ids, strict=True))
        assert found == pytest.approx(wanted, abs=1e-4)
    nothing = AnswerEvidence((), ())
    assert likelihoods(engine, PROMPTS[:1], [nothing], (None,)) == [[0.0]]


def test_other_mixes_compute_the_branch_of_an_answer_and_no_trunk_again(make_engine: MakeEngine) -> None:
    engine = make_engine(cut=1, adapters=("blue", "red"))  # of these two, red begins in layer 1
    answers = answered(engine)[:1]

    def computed(choices: Sequence[AdapterChoice]) -> list[int]:
        before = [span["computed"] for span in engine.stats()["layer_tokens"]]
        likelihoods(engine, PROMPTS[:1], answers, choices)
        return [span["computed"] - b for span, b in zip(engine.stats()["layer_tokens"], before, strict=True)]

    length, layers = len(PROMPTS[0]) + len(answers[0].token_ids), engine.base.info.num_layers
    trunk, branch = computed([None, "red", {"red": 0.5}])
    assert branch == 3 * length * (layers - 1)
    assert trunk <= length


def test_a_compared_answer_is_the_plain_one_with_scores_by_any_estimators(engine: Engine) -> None:
    names = ["logprob_sum", "margin_min", "cocoa", "samples_agree", "counterfactual", "others_agree", "code_runs"]
    plain = engine.generate(PROMPTS, "red", GREEDY)
    compared = generate_compared(engine, PROMPTS, "red", names, SOURCES, GREEDY)
    assert [one.token_ids for one in compared] == [one.token_ids for one in plain]
    assert all(set(one.scores) == set(names) and one.logprobs is None and one.spreads is None for one in compared)
    answers = with_further(engine, PROMPTS, "red", answered(engine), ALL, SOURCES, GREEDY)
    assert compared[0].scores["cocoa"] == pytest.approx(answer_scores(["cocoa"], answers[0])["cocoa"], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "sources", "param"),
    [
        ("cocoa", FurtherSources(), "embed"),
        ("others_agree", FurtherSources(), "others"),
        ("others_likelihood", FurtherSources(), "others"),
        ("code_runs", FurtherSources(), "call_code"),
        ("samples_agree", FurtherSources(samples=0), "samples"),
        ("samples_agree", FurtherSources(samples=10_000), "n"),
    ],
)
def test_what_an_estimator_lacks_is_named(engine: Engine, name: str, sources: FurtherSources, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        generate_compared(engine, PROMPTS, "red", [name], sources, GREEDY)
    assert refused.value.param == param


def test_several_choices_and_unknown_mixes_are_refused_and_requests_may_not_ask(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="n is 2"):
        generate_compared(engine, PROMPTS, "red", ["samples_agree"], params=SamplingParams(n=2))
    with pytest.raises(AdapterNotFound):
        generate_compared(engine, PROMPTS, "green", ["samples_agree"], params=GREEDY)
    with pytest.raises(InvalidRequest, match="which requests do not compute"):
        engine.generate(PROMPTS, "red", GREEDY, scores=["samples_agree"])
