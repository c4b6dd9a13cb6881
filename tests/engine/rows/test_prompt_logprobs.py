"""Log-probabilities of a prompt's own tokens equal those of its logits, whatever is cached and however it is cut."""

from __future__ import annotations

import pytest
import torch

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.compute import runner
from tests.engine.conftest import MakeEngine

PROMPT = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]


def wanted(engine: Engine, adapter: str | None) -> torch.Tensor:
    """Of each token but the first: its log-probability after those before it."""
    (logits,) = engine.logits([PROMPT], adapter)
    return logits[:-1].log_softmax(-1)


@pytest.mark.parametrize("at_once", [64, 5])
@pytest.mark.parametrize("adapter", [None, "red"])
@pytest.mark.parametrize("budget", [128, 16])
@pytest.mark.parametrize("max_tokens", [0, 3])
def test_they_are_those_of_the_logits(
    make_engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    adapter: str | None,
    budget: int,
    max_tokens: int,
    at_once: int,
) -> None:
    monkeypatch.setattr(runner, "SCORED_AT_ONCE", at_once)
    engine = make_engine(max_batch_tokens=budget)
    engine.generate([PROMPT], adapter, SamplingParams(max_tokens=2))  # fills the cache
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True, prompt_logprobs=2)
    (completion,) = engine.generate([PROMPT], adapter, params)
    logprobs = wanted(engine, adapter)
    assert completion.prompt_logprobs is not None
    assert [token.token_id for token in completion.prompt_logprobs] == PROMPT[1:]
    for token, row in zip(completion.prompt_logprobs, logprobs, strict=True):
        assert token.logprob == pytest.approx(float(row[token.token_id]), abs=1e-5)
        assert token.rank == int((row > row[token.token_id]).sum()) + 1
        assert [logprob for _, logprob in token.top_logprobs] == pytest.approx(row.topk(2).values.tolist(), abs=1e-5)
    assert len(completion.token_ids) == max_tokens


def test_each_mix_scores_the_prompt_once(make_engine: MakeEngine) -> None:
    engine = make_engine()
    params = SamplingParams(max_tokens=2, n=2, seed=1, prompt_logprobs=0)
    told = [done.prompt_logprobs for done in engine.generate([PROMPT], fork=["red", None], params=params)]
    assert [scores is not None for scores in told] == [True, False, True, False]
    for scores, adapter in ((told[0], "red"), (told[2], None)):
        assert scores is not None
        logprobs = wanted(engine, adapter)
        assert [t.logprob for t in scores] == pytest.approx(
            [float(row[token]) for row, token in zip(logprobs, PROMPT[1:], strict=True)], abs=1e-5
        )


def test_a_prompt_of_one_token_has_nothing_to_score(make_engine: MakeEngine) -> None:
    (completion,) = make_engine().generate([[5]], None, SamplingParams(max_tokens=1, prompt_logprobs=0))
    assert completion.prompt_logprobs == ()
