"""Every sampling parameter against a plain reference, written once more as its paper and vLLM's documentation say."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from adaptrix_core.engine import GenerationRequest, SamplingParams
from adaptrix_core.engine.rows.detokenizer import TextStream
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.rows.sampler import sample
from adaptrix_core.injection.mix import constant

VOCAB = 23
PROMPT = (3, 4, 4, 9)
OUTPUT = (5, 9, 5, 5, 7)


def make_row(output: tuple[int, ...] = OUTPUT, **params: Any) -> Row:
    request = GenerationRequest("r", PROMPT, SamplingParams(**params))
    row = Row(request, 0, constant(()), 100, [[]], TextStream(None))
    for token in output:
        row.append(token)
    return row


def random_logits(seed: int = 0) -> Tensor:
    return torch.randn(VOCAB, generator=torch.Generator().manual_seed(seed)) * 2


def reference_distribution(logits: Tensor, **params: Any) -> Tensor:
    """Probabilities ``(vocab,)`` that a token should be drawn with."""
    p = SamplingParams(**params).with_defaults()
    values = logits.tolist()
    for token, bias in (p.logit_bias or {}).items():
        values[token] += bias
    counts = Counter(OUTPUT)
    for token in range(VOCAB):
        if token in (*PROMPT, *OUTPUT):
            value = values[token]
            values[token] = value / p.repetition_penalty if value > 0 else value * p.repetition_penalty
        if counts[token]:
            values[token] -= p.presence_penalty + p.frequency_penalty * counts[token]
    values = [value / p.temperature for value in values]
    probabilities = torch.tensor(values, dtype=torch.float64).softmax(-1)
    if p.min_p:
        probabilities[probabilities < p.min_p * probabilities.max()] = 0
    if p.top_k:
        probabilities[probabilities < probabilities.sort(descending=True).values[min(p.top_k, VOCAB) - 1]] = 0
    if p.top_p < 1:
        probabilities /= probabilities.sum()
        total = 0.0
        for token in probabilities.argsort(descending=True).tolist():
            if total >= p.top_p:
                probabilities[token] = 0
            total += float(probabilities[token])
    return probabilities / probabilities.sum()


def sampled_frequencies(logits: Tensor, draws: int, **params: Any) -> Tensor:
    rows = [make_row(seed=seed, **params) for seed in range(draws)]
    counts = Counter(result.token_id for result in sample(logits.repeat(draws, 1), rows))
    return torch.tensor([counts[token] / draws for token in range(VOCAB)], dtype=torch.float64)


SETTINGS: list[dict[str, Any]] = [
    {"temperature": 1.0},
    {"temperature": 0.4},
    {"temperature": 1.9},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": VOCAB + 7},
    {"top_p": 0.35},
    {"top_p": 0.9},
    {"min_p": 0.2},
    {"min_p": 1.0},
    {"presence_penalty": 1.7},
    {"frequency_penalty": 0.9},
    {"frequency_penalty": -1.0},
    {"repetition_penalty": 1.8},
    {"repetition_penalty": 0.5},
    {"logit_bias": {2: 5.0, 3: -100.0, 11: 2.0}},
    {"temperature": 0.7, "top_k": 8, "top_p": 0.8, "min_p": 0.02, "presence_penalty": 0.5, "repetition_penalty": 1.2},
]


@pytest.mark.parametrize("params", SETTINGS, ids=str)
def test_tokens_are_drawn_from_the_reference_distribution(params: dict[str, Any]) -> None:
    logits, draws = random_logits(), 1500
    expected = reference_distribution(logits, **params)
    actual = sampled_frequencies(logits, draws, **params)
    assert actual[expected == 0].sum() == 0, "a token was drawn that the parameters exclude"
    # Five standard errors of a frequency: a false alarm once in 10^5 runs, and the seeds are fixed.
    error = 5 * (expected * (1 - expected) / draws).sqrt() + 1e-9
    assert ((actual - expected).abs() <= error).all()


def test_greedy_takes_the_likeliest_after_bias_and_penalties() -> None:
    logits = random_logits()
    for params in ({}, {"logit_bias": {2: 9.0}}, {"repetition_penalty": 3.0}, {"frequency_penalty": 2.0}):
        expected = int(reference_distribution(logits, **params).argmax())
        [result] = sample(logits[None].clone(), [make_row(temperature=0.0, **params)])
        assert result.token_id == expected


@pytest.mark.parametrize("sign", [1, -1])
def test_a_temperature_that_is_almost_zero_is_greedy(sign: int) -> None:
    logits = sign * random_logits().abs() - sign * 0.1
    [result] = sample(logits[None].clone(), [make_row(temperature=1e-40, seed=1, top_p=0.9)])
    assert result.token_id == int(logits.argmax())


def test_presence_and_frequency_count_the_output_only() -> None:
    logits = torch.zeros(VOCAB)
    logits[4], logits[5] = 1.0, 0.9  # 4 is in the prompt, 5 in the output
    [result] = sample(logits[None].clone(), [make_row(temperature=0.0, presence_penalty=2.0, frequency_penalty=2.0)])
    assert result.token_id == 4


def test_repetition_counts_the_prompt_too() -> None:
    logits = torch.zeros(VOCAB)
    logits[4], logits[6] = 1.0, 0.9
    [result] = sample(logits[None].clone(), [make_row(temperature=0.0, repetition_penalty=2.0)])
    assert result.token_id == 6


@pytest.mark.parametrize("count", [0, 1, 5, 20])
def test_logprobs_are_those_of_the_untouched_logits(count: int) -> None:
    logits = random_logits(3)
    # 12 is forced by the bias; what is reported does not know of it.
    [result] = sample(logits[None].clone(), [make_row(logprobs=count, temperature=0.3, logit_bias={12: 100.0})])
    expected = logits.log_softmax(-1)
    assert result.token_id == 12
    assert result.logprob == pytest.approx(float(expected[12]), abs=1e-5)
    assert [token for token, _ in result.top_logprobs] == expected.argsort(descending=True)[:count].tolist()
    assert [value for _, value in result.top_logprobs] == pytest.approx(
        expected.sort(descending=True)[0][:count].tolist()
    )


def test_no_logprobs_unless_asked_for() -> None:
    [result] = sample(random_logits()[None], [make_row()])
    assert (result.logprob, result.top_logprobs) == (None, ())


def test_rows_of_one_batch_keep_their_own_parameters() -> None:
    logits = torch.stack([random_logits(seed) for seed in range(4)])
    kinds: list[dict[str, Any]] = [
        {"temperature": 0.0},
        {"seed": 5, "top_k": 3},
        {"temperature": 0.0, "logit_bias": {1: 50.0}},
        {"seed": 9, "temperature": 2.0},
    ]
    together = sample(logits, [make_row(**params) for params in kinds])
    for number, params in enumerate(kinds):
        [alone] = sample(logits[number][None], [make_row(**params)])
        assert together[number].token_id == alone.token_id


def test_sampling_leaves_the_logits_as_they_are() -> None:
    logits = random_logits()[None]
    before = logits.clone()
    sample(logits, [make_row(seed=1, top_k=2, logit_bias={1: 5.0}, presence_penalty=1.0, logprobs=2)])
    assert torch.equal(logits, before)


def test_probabilities_are_finite_in_half_precision() -> None:
    logits = (random_logits() * 20).half()
    [result] = sample(logits[None].clone(), [make_row(seed=1, top_p=0.9, logprobs=1)])
    assert result.logprob is not None
    assert math.isfinite(result.logprob)
