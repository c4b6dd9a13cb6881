"""A trained gate sends tokens to the adapter that serves them, and the engine computes what was trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.errors import AdaptrixError, InvalidRequest
from adaptrix_core.injection import LoraWeights, PointWeights, Term
from adaptrix_core.injection.gate import Gate, gate_mix
from adaptrix_core.training.examples.packing import Example
from adaptrix_core.training.gates.gate_training import GateTraining, train_gate
from tests.tiny_models import random_base, random_prompts, random_weights

NAMES = ("red", "blue")
SHORT = GateTraining(steps=30, batch_size=4, learning_rate=3e-2)


@pytest.fixture
def base() -> BaseModel:
    return random_base("llama")


@pytest.fixture
def adapters(base: BaseModel) -> list[LoraWeights]:
    """Two adapters, the second of which is noise that harms every answer."""
    return [random_weights(base, seed=0), _louder(random_weights(base, seed=1))]


def _louder(weights: LoraWeights) -> LoraWeights:
    return LoraWeights({p: PointWeights(w.lora_a, w.lora_b, w.scaling * 2) for p, w in weights.points.items()})


def engine_of(base: BaseModel, directory: Path, adapters: list[LoraWeights]) -> Engine:
    engine = Engine(base, directory / "catalogue", TrustPolicy("off"), EngineOptions(kv_cache_tokens=1024))
    for name, weights in zip(NAMES, adapters, strict=True):
        write_package(directory / name, describe(weights, base.info, name), weights)
        engine.load_adapter(directory / name)
    return engine


def answered_by(engine: Engine, name: str, count: int) -> list[Example]:
    """Prompts with the answers that an adapter gives."""
    made = []
    for index, prompt in enumerate(random_prompts([6] * count, seed=2)):
        logits = engine.logits([prompt], name)[0]
        made.append(Example(index, (*prompt, int(logits[-1].argmax())), 1))
    return made


def loss_of(engine: Engine, examples: list[Example], gate: Gate) -> float:
    mix = gate_mix([Term(name) for name in NAMES], gate)
    logits = engine.logits([example.token_ids[:-1] for example in examples], mix)
    losses = [-torch.log_softmax(row[-1], -1)[e.token_ids[-1]] for row, e in zip(logits, examples, strict=True)]
    return float(torch.stack(losses).mean())


def test_the_loss_falls_and_is_the_engines(base: BaseModel, adapters: list[LoraWeights], tmp_path: Path) -> None:
    engine = engine_of(base, tmp_path, adapters)
    examples = answered_by(engine, "red", 16)
    seen: list[float] = []
    settings = GateTraining(steps=30, batch_size=len(examples), learning_rate=3e-2)
    before = train_gate(random_base("llama"), adapters, examples, GateTraining(steps=1, learning_rate=0.0))
    gate = train_gate(random_base("llama"), adapters, examples, settings, lambda step, loss: seen.append(loss))
    assert seen[0] == pytest.approx(loss_of(engine, examples, before), rel=1e-4)
    assert loss_of(engine, examples, gate) < 0.5 * seen[0]


def test_the_model_is_left_as_it_was(base: BaseModel, adapters: list[LoraWeights]) -> None:
    tokens = torch.tensor(random_prompts([9]))
    with torch.inference_mode():
        before = base.module(tokens).logits
    examples = [Example(0, tuple(tokens[0].tolist()), 2)]
    train_gate(base, adapters, examples, GateTraining(steps=2))
    with torch.inference_mode():
        assert torch.equal(base.module(tokens).logits, before)


def test_equal_seeds_make_equal_gates(adapters: list[LoraWeights]) -> None:
    examples = [Example(i, tuple(prompt), 2) for i, prompt in enumerate(random_prompts([7, 9, 8, 6, 5]))]
    gates = [train_gate(random_base("llama"), adapters, examples, SHORT).gate_digest for _ in range(2)]
    assert gates[0] == gates[1]


def test_what_cannot_be_trained_is_refused(base: BaseModel, adapters: list[LoraWeights]) -> None:
    example = Example(0, tuple(random_prompts([7])[0]), 2)
    with pytest.raises(InvalidRequest, match=r"over 1 adapter\(s\) on 1 examples"):
        train_gate(base, adapters[:1], [example])
    with pytest.raises(InvalidRequest, match="on 0 examples"):
        train_gate(base, adapters, [])
    with pytest.raises(AdaptrixError, match="below 1e"):
        train_gate(base, adapters, [example], GateTraining(steps=20, learning_rate=1e30))
