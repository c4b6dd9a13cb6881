"""Moving updates to other layers: exact where it can be, measured where it cannot."""

from __future__ import annotations

import math

import pytest
import torch

from adaptrix_core.adapters import measure_cost, redistribute
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.injector import LayerInjector
from adaptrix_core.injection.lora import LoraWeights

Q = "self_attn.q_proj"


class Letters:
    """A tokenizer of the smallest kind: one token per letter."""

    eos_token_id = pad_token_id = None
    eos_token = unk_token = None
    chat_template = "x"

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [ord(letter) % 97 for letter in text]


@pytest.fixture
def base(make_base):
    base = make_base()
    base.tokenizer = Letters()
    return base


def test_the_sum_of_the_updates_of_one_target_is_exact(base, make_weights):
    weights = make_weights(base, [(1, Q), (2, Q), (3, Q)], rank=2)
    moved = redistribute(weights, [2], base)
    assert list(moved.points) == [(2, Q)]
    value = moved.points[2, Q]
    assert value.rank == 6
    expected = sum(w.scaling * w.lora_b @ w.lora_a for w in weights.points.values())
    torch.testing.assert_close(value.scaling * value.lora_b @ value.lora_a, expected)


def test_layers_go_to_the_nearest_target_and_the_lower_of_two(base, make_weights):
    weights = make_weights(base, [(0, Q), (1, Q), (2, Q), (3, Q)], rank=1)
    moved = redistribute(weights, [3, 1], base)
    assert {point: value.rank for point, value in moved.points.items()} == {(1, Q): 3, (3, Q): 1}


def test_moving_to_the_same_layers_costs_nothing(base, make_weights):
    weights = make_weights(base)
    same = redistribute(weights, weights.layers, base)
    assert same.weights_digest == weights.weights_digest
    cost = measure_cost(weights, same, base, LayerInjector(base), ["hello there", "a second text"])
    assert cost.num_tokens == 10 + 12
    assert cost.perplexity_before == cost.perplexity_after
    assert (cost.mean_kl_nats, cost.top_token_agreement) == (0.0, 1.0)


def test_the_cost_is_what_the_predictions_say(base, make_weights):
    weights = make_weights(base, [(0, Q), (3, "mlp.up_proj")], rank=4)
    moved = redistribute(weights, [1], base)
    injector = LayerInjector(base)
    cost = measure_cost(weights, moved, base, injector, ["abcdefgh"])
    assert cost.mean_kl_nats > 0
    assert injector.get_active_adapters() == {}
    with torch.inference_mode():
        tokens = torch.tensor([base.encode("abcdefgh")])
        loss = base.module(tokens, labels=tokens).loss
    assert cost.base_perplexity == pytest.approx(math.exp(loss), rel=1e-4)
    for perplexity in (cost.perplexity_before, cost.perplexity_after):
        assert perplexity != pytest.approx(cost.base_perplexity, rel=1e-3)


def test_adapters_that_were_resident_stay(base, make_weights):
    weights = make_weights(base)
    injector = LayerInjector(base)
    injector.inject_adapter(weights)
    measure_cost(weights, redistribute(weights, [3], base), base, injector, ["abc"])
    assert set(injector.get_active_adapters()) == {weights.weights_digest}


@pytest.mark.parametrize("layers", [[], [4], [-1], [0, 99]])
def test_targets_outside_the_model_are_refused_with_its_depth(base, make_weights, layers):
    with pytest.raises(InvalidRequest, match="0 to 3"):
        redistribute(make_weights(base), layers, base)


def test_texts_too_short_to_predict_anything_are_refused(base, make_weights):
    weights: LoraWeights = make_weights(base)
    with pytest.raises(InvalidRequest, match="two tokens"):
        measure_cost(weights, weights, base, LayerInjector(base), ["", "a"])
