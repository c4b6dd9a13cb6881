"""A choosing gate gives each question to the adapter that answers such questions, as the engine then computes it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection import LoraWeights, Term
from adaptrix_core.injection.gate import gate_mix
from adaptrix_core.training.examples.packing import Example
from adaptrix_core.training.gates.choice_training import ChoiceTraining, train_choice
from tests.tiny_models import random_base, random_prompts, random_weights
from tests.training.gates.test_gate_training import NAMES, engine_of

HALF = 5
"""Tokens 2 to 4 are asked of the first adapter, 7 to 9 of the second."""


@pytest.fixture
def base() -> BaseModel:
    return random_base("llama")


@pytest.fixture
def adapters(base: BaseModel) -> list[LoraWeights]:
    return [random_weights(base, seed=seed) for seed in (0, 1)]


def asked_of(place: int, count: int, seed: int) -> list[list[int]]:
    """Prompts of an adapter: of its own three tokens."""
    return [[2 + token % (HALF - 2) + place * HALF for token in row] for row in random_prompts([9] * count, seed=seed)]


def examples_of(engine: Engine, count: int = 12) -> list[Example]:
    """Prompts with the answers of three tokens that their adapter gives."""
    made: list[Example] = []
    for place, name in enumerate(NAMES):
        for prompt in asked_of(place, count, seed=2):
            for _ in range(3):
                prompt = [*prompt, int(engine.logits([prompt], name)[0][-1].argmax())]
            made.append(Example(len(made), tuple(prompt), 3))
    return made


def loss_under(engine: Engine, name: str, example: Example) -> float:
    """The answer's loss in nats, as the engine computes it."""
    answer = example.token_ids[-example.answer_length :]
    logits = engine.logits([example.token_ids[:-1]], name)[0][-len(answer) :]
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum"))


def test_new_questions_are_computed_much_as_by_their_adapter_alone(
    base: BaseModel, adapters: list[LoraWeights], tmp_path: Path
) -> None:
    engine = engine_of(base, tmp_path, adapters)
    examples = examples_of(engine)
    trained = train_choice(random_base("llama"), adapters, examples, ChoiceTraining(pack_tokens=40))
    losses = torch.tensor([[loss_under(engine, name, example) for name in NAMES] for example in examples])
    assert list(trained.chosen) == losses.argmin(1).tolist()
    gated = gate_mix([Term(name) for name in NAMES], trained.gate)
    for place, name in enumerate(NAMES):
        prompts = asked_of(place, 8, seed=3)
        mine, right, wrong = (torch.cat(engine.logits(prompts, choice)) for choice in (gated, name, NAMES[1 - place]))
        assert (mine - right).abs().mean() < 0.25 * (mine - wrong).abs().mean()


def test_equal_seeds_make_equal_gates(base: BaseModel, adapters: list[LoraWeights], tmp_path: Path) -> None:
    examples = examples_of(engine_of(base, tmp_path, adapters), 4)
    gates = [train_choice(random_base("llama"), adapters, examples).gate for _ in range(2)]
    assert gates[0] == gates[1]


def test_an_adapter_has_no_direction_where_it_has_no_weights(base: BaseModel, tmp_path: Path) -> None:
    adapters = [
        random_weights(base, [(1, "self_attn.q_proj"), (2, "mlp.up_proj")], seed=0),
        random_weights(base, [(1, "self_attn.q_proj")], seed=1),
    ]
    examples = examples_of(engine_of(base, tmp_path, adapters), 4)
    at = train_choice(random_base("llama"), adapters, examples).gate.points[2, "mlp.up_proj"]
    assert at.acting == (True, False)
    assert not at.directions[1].any()


def test_what_cannot_be_chosen_is_refused(base: BaseModel, adapters: list[LoraWeights], tmp_path: Path) -> None:
    examples = examples_of(engine_of(base, tmp_path, adapters), 3)
    with pytest.raises(InvalidRequest, match=r"over 1 adapter\(s\) on 6 examples"):
        train_choice(random_base("llama"), adapters[:1], examples)
    with pytest.raises(InvalidRequest, match="on 0 examples"):
        train_choice(random_base("llama"), adapters, [])
    with pytest.raises(InvalidRequest, match="none is answered best by adapter number 2"):
        train_choice(random_base("llama"), adapters, examples[:3])
