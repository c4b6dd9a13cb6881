"""Scores and confidence in the library: from numbers that are computed for who asks, and no others."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from adaptrix_core.confidence.shelf import CalibrationShelf, SignedPlace
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.rows import sampler
from tests.confidence.calibrations import write_for
from tests.engine.conftest import MakeEngine
from tests.tiny_models import byte_tokenizer, random_prompts

PROMPTS = random_prompts([6, 9])
GREEDY = SamplingParams(max_tokens=5, temperature=0.0, ignore_eos=True)


def test_entropy_and_margin_are_those_of_the_whole_distribution(make_engine: MakeEngine) -> None:
    engine = make_engine()
    params = SamplingParams(max_tokens=4, temperature=0.0, ignore_eos=True, spread=True)
    (completion,) = engine.generate(PROMPTS[:1], "red", params)
    assert completion.spreads is not None
    assert completion.logprobs is None
    (logits,) = engine.logits([(*PROMPTS[0], *completion.token_ids)], "red")
    for spread, row in zip(completion.spreads, logits[len(PROMPTS[0]) - 1 :], strict=False):
        probabilities = row.double().softmax(-1)
        first, second = probabilities.topk(2).values.tolist()
        assert spread.entropy == pytest.approx(
            torch.distributions.Categorical(probabilities).entropy().item(), abs=1e-4
        )
        assert spread.margin == pytest.approx(first - second, abs=1e-4)


def test_plain_rows_beside_one_that_asks_cost_no_distribution(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    told = sampler._with_probabilities

    def counted(logits: torch.Tensor, token: int, params: SamplingParams) -> sampler.Sampled:
        looked.append(token)
        return told(logits, token, params)

    monkeypatch.setattr(sampler, "_with_probabilities", counted)
    engine = make_engine()
    engine.generate(PROMPTS, None, GREEDY)
    assert not looked
    engine.generate(PROMPTS, None, GREEDY, scores=["logprob_sum"])
    assert len(looked) == 10


def test_scores_leave_nothing_else_in_the_completion(make_engine: MakeEngine) -> None:
    engine = make_engine()
    scored = engine.generate(PROMPTS, ["red", None], GREEDY, scores=["entropy_max", "logprob_sum"])
    assert [set(one.scores) for one in scored] == [{"entropy_max", "logprob_sum"}] * 2
    assert all(one.logprobs is None and one.spreads is None and one.confidence is None for one in scored)


@pytest.fixture
def calibrated(make_engine: MakeEngine, tmp_path: Path) -> Engine:
    """An engine whose tokenizer tells texts, with a calibration for ``red`` alone."""
    engine = make_engine(tokenizer=byte_tokenizer())
    write_for(engine, "red", tmp_path / "calibrations")
    engine.calibrations = CalibrationShelf([SignedPlace(tmp_path / "calibrations", ())], "off")
    return engine


def ended(engine: Engine, adapter: str | None) -> SamplingParams:
    """Parameters under which the greedy answer ends by itself, after three tokens."""
    (long,) = engine.generate(PROMPTS[:1], adapter, GREEDY)
    return SamplingParams(max_tokens=5, temperature=0.0, stop_token_ids=(long.token_ids[2],), ignore_eos=True)


def test_confidence_is_the_calibrated_score_of_who_is_calibrated_and_none_for_others(calibrated: Engine) -> None:
    params = ended(calibrated, "red")
    (red,) = calibrated.generate(PROMPTS[:1], "red", params, scores=["logprob_sum"], confidence=True)
    assert red.finish_reason == "stop"
    assert red.confidence == pytest.approx(1 / (1 + math.exp(-(0.1 * red.scores["logprob_sum"] + 1.0))))
    (base,) = calibrated.generate(PROMPTS[:1], None, ended(calibrated, None), confidence=True)
    (weaker,) = calibrated.generate(PROMPTS[:1], {"red": 0.5}, ended(calibrated, "red"), confidence=True)
    assert (base.confidence, weaker.confidence) == (None, None)


def test_an_answer_that_was_cut_off_has_no_confidence(calibrated: Engine) -> None:
    (cut,) = calibrated.generate(PROMPTS[:1], "red", GREEDY, confidence=True)
    assert (cut.finish_reason, cut.confidence) == ("length", None)


def test_each_branch_of_a_fork_has_its_own_confidence(calibrated: Engine) -> None:
    params = ended(calibrated, "red")
    red, base = calibrated.generate(PROMPTS[:1], fork=["red", None], params=params, confidence=True)
    assert red.confidence is not None
    assert base.confidence is None
