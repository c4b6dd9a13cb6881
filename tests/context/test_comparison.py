"""The measures of drift against their definitions, and on runs where the answer is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from adaptrix_core.context.comparison import (
    PREDICTED_AT_ONCE,
    attention_drift,
    check_finite,
    prediction_drift,
    state_conflict,
    state_similarity,
)
from adaptrix_core.engine.compute.inspected import QUERIES_AT_ONCE, AttentionInputs, InspectedRun
from adaptrix_core.errors import AdapterRejected, BaseModelError, InvalidRequest

LAYERS, HIDDEN, VOCAB = 3, 8, 11


def run(tokens: int, seed: int, heads: int = 4, kv_heads: int = 2, window: int | None = None) -> InspectedRun:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    attention = tuple(
        AttentionInputs(random(tokens, heads, 6), random(tokens, kv_heads, 6), 0.4, window, None) for _ in range(LAYERS)
    )
    return InspectedRun(tuple(range(tokens)), random(LAYERS, tokens, HIDDEN), attention)


@pytest.fixture
def head() -> Callable[[Tensor], Tensor]:
    matrix = torch.randn(HIDDEN, VOCAB, generator=torch.Generator().manual_seed(9))
    return lambda states: states @ matrix


def plain_softmax(scores: Sequence[float]) -> np.ndarray:
    shares = np.exp(np.array(scores, np.float64))
    return shares / shares.sum()


def test_attention_weights_are_the_softmax_over_the_keys_that_a_token_sees() -> None:
    inputs = run(7, 0, window=3).attention[0]
    weights = inputs.weights(0, 7)
    for head_number in range(4):
        for token in range(7):
            seen = range(max(0, token - 2), token + 1)
            scores = [float(inputs.query[token, head_number] @ inputs.key[s, head_number // 2]) * 0.4 for s in seen]
            expected = np.zeros(7)
            expected[list(seen)] = plain_softmax(scores)
            assert weights[head_number, token].numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("tokens", [1, 5, QUERIES_AT_ONCE + 3])
def test_the_drift_of_attention_is_half_the_sum_of_differences(tokens: int) -> None:
    base, mixed = run(tokens, 0), run(tokens, 1)
    drift = attention_drift(base, mixed, [0, 2])
    for row, layer in enumerate([0, 2]):
        one, other = (r.attention[layer].weights(0, tokens) for r in (base, mixed))
        assert torch.allclose(drift[row], (one - other).abs().sum(-1) / 2, atol=1e-6)
    assert drift.shape == (2, 4, tokens)
    assert float(drift.min()) >= 0.0
    assert float(drift.max()) <= 1.0
    assert float(attention_drift(base, base, [0, 1, 2]).abs().max()) == 0.0


def test_runs_without_attention_cannot_be_asked_for_it() -> None:
    base = replace(run(3, 0), attention=())
    with pytest.raises(InvalidRequest, match="compare without attention"):
        attention_drift(base, base, [0])


@pytest.mark.parametrize("tokens", [1, 5, PREDICTED_AT_ONCE + 3])
def test_the_divergence_is_kullback_leiblers_from_the_base(tokens: int, head: Callable[[Tensor], Tensor]) -> None:
    base, mixed = run(tokens, 0), run(tokens, 1)
    divergence, agreement = prediction_drift(base, mixed, head)
    for token in range(tokens):
        p, q = (plain_softmax(head(r.states[-1])[token].tolist()) for r in (base, mixed))
        assert float(divergence[token]) == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-4, abs=1e-5)
        assert bool(agreement[token]) == (p.argmax() == q.argmax())
    same, agreed = prediction_drift(base, base, head)
    assert float(same.abs().max()) == 0.0
    assert bool(agreed.all())


def test_similarity_is_the_cosine_and_does_not_see_lengths() -> None:
    base, mixed = run(5, 0), run(5, 1)
    a, b = base.states.double().numpy(), mixed.states.double().numpy()
    expected = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    assert state_similarity(base, mixed).numpy() == pytest.approx(expected, abs=1e-5)
    longer = replace(base, states=3 * base.states)
    assert torch.allclose(state_similarity(base, longer), torch.ones(LAYERS, 5))


def test_conflict_is_0_for_equal_changes_half_for_unrelated_ones_and_1_for_opposite_ones() -> None:
    base = run(5, 0)

    def moved(change: Tensor) -> InspectedRun:
        return replace(base, states=base.states + change)

    change = torch.zeros(LAYERS, 5, HIDDEN)
    change[1:, :, 0] = 2.0  # layer 0 is left alone
    across = torch.zeros(LAYERS, 5, HIDDEN)
    across[1:, :, 1] = 5.0
    for other, expected in ((change * 3, 0.0), (across, 0.5), (-change, 1.0)):
        conflict = state_conflict(base, moved(change), moved(other))
        assert torch.isnan(conflict[0])
        assert conflict[1:].tolist() == pytest.approx([expected, expected], abs=1e-4)


def test_states_that_are_no_numbers_are_told_with_their_place_and_cause() -> None:
    broken = run(5, 0)
    broken.states[1, 3, 2] = float("nan")
    check_finite(run(5, 0), None)
    with pytest.raises(AdapterRejected, match="layer 1 are not finite at token 3, under red") as caught:
        check_finite(broken, "red")
    assert caught.value.code == "output_not_finite"
    with pytest.raises(BaseModelError, match="base model itself"):
        check_finite(broken, None)
