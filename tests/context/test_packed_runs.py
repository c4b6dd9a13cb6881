"""Inspected runs over packed weights: the kernels' own states, and the attention of the same weights unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.base.model import BaseModel
from adaptrix_core.context import ContextValidator
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.injection import Term
from adaptrix_core.injection.gate import Gate, PointGate, gate_mix
from adaptrix_core.native import why_not
from tests.engine.conftest import idle_faults
from tests.native.packed_models import VARIANTS, twins
from tests.tiny_models import random_prompts, random_weights

PROMPT = random_prompts([29], seed=6)[0]
CHOICES = [None, "red", {"red": 0.5, "blue": -0.25}]

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no native kernels here: {why_not()}")


def engine_over(base: BaseModel, directory: Path) -> Engine:
    """With ``red`` on every module of layers 1 and 2, and ``blue`` on the queries of layer 3."""
    engine = Engine(base, directory / "none", TrustPolicy("off"), EngineOptions(block_size=4, kv_cache_tokens=256))
    adapters = {
        "red": random_weights(base, seed=3),
        "blue": random_weights(base, [(3, "self_attn.q_proj")], rank=5, seed=4),
    }
    for name, weights in adapters.items():
        if not (directory / name).exists():
            write_package(directory / name, describe(weights, base.info, name), weights)
        engine.load_adapter(directory / name)
    return engine


@pytest.fixture(params=VARIANTS)
def engines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """(over packed weights, over the same weights unpacked)"""
    made = tuple(engine_over(base, tmp_path / str(n)) for n, base in enumerate(twins(request.param)))
    yield made[0], made[1]
    for engine in made:
        assert idle_faults(engine) == []
        engine.loader.close()


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_the_last_states_are_those_that_requests_are_answered_from(
    choice: object, engines: tuple[Engine, Engine]
) -> None:
    packed, _ = engines
    run = packed.inspect(PROMPT, choice)
    assert torch.equal(packed.base.head(run.states[-1]), packed.logits([PROMPT], choice)[0])


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_states_and_attention_are_those_of_the_unpacked_weights(choice: object, engines: tuple[Engine, Engine]) -> None:
    """As far as activations of 16 bits, and keys in half precision, allow: a lost adapter, norm, bias or window moves
    states and weights by more than a tenth."""
    ours, theirs = (engine.inspect(PROMPT, choice) for engine in engines)
    assert (ours.states - theirs.states).abs().max() <= 1e-2 * theirs.states.abs().max()
    for one, other in zip(ours.attention, theirs.attention, strict=True):
        assert (one.weights(0, len(PROMPT)) - other.weights(0, len(PROMPT))).abs().max() <= 5e-2


def test_the_attention_of_a_gated_mix_is_that_of_the_unpacked_weights(engines: tuple[Engine, Engine]) -> None:
    packed, plain = engines
    generator = torch.Generator().manual_seed(8)
    points = {
        point: PointGate(torch.randn(2, weights.lora_a.shape[1], generator=generator), torch.zeros(2), (True, True))
        for point, weights in plain.loader.load("red").weights.points.items()
    }
    gate = gate_mix((Term("red"), Term("blue")), Gate(points, 2))
    ungated = plain.inspect(PROMPT, {"red": 1.0, "blue": 1.0})
    ours, theirs = (engine.inspect(PROMPT, gate) for engine in (packed, plain))
    moved = []
    for one, other, without in zip(ours.attention, theirs.attention, ungated.attention, strict=True):
        weights, expected = (inputs.weights(0, len(PROMPT)) for inputs in (one, other))
        assert (weights - expected).abs().max() <= 5e-2
        moved.append(float((without.weights(0, len(PROMPT)) - expected).abs().max()))
    assert max(moved) > 0.2, "the gate moves nothing, so this test shows nothing"


def test_a_comparison_over_packed_weights_says_what_one_over_unpacked_ones_says(
    engines: tuple[Engine, Engine],
) -> None:
    packed, plain = (ContextValidator(engine).compare(PROMPT, {"red": 0.3, "blue": 0.5}) for engine in engines)
    assert torch.allclose(packed.similarity, plain.similarity, atol=2e-2)
    assert torch.allclose(packed.attention_drift, plain.attention_drift, atol=3e-2)
    assert packed.similarity[0].min() > 0.9999
    assert packed.similarity[-1].mean() < 0.99
