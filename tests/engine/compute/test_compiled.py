"""Compiled layers compute what the layers compute, and nothing that changes while serving compiles them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from adaptrix_core.base import Point
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.compute.attention import ATTENTION_NAME
from adaptrix_core.engine.compute.compiled import CompiledLayers
from adaptrix_core.injection import LayerInjector
from tests.engine.conftest import MakeEngine
from tests.tiny_models import random_base, random_prompts, random_weights

TOLERANCE = 1e-4
"""Of the largest logit: fused float32 sums in another order."""
PROMPTS = random_prompts((9, 1, 4))
CHOICES = ["red", None, {"blue": 0.5, "red": -1.0}]
GREEDY = SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)

# Tracing and functionalisation without generating code: what goes wrong by family goes wrong there, in seconds.
TRACED = "aot_eager"


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()


def compiled(engine: Engine, backend: str | Callable[..., Any]) -> CompiledLayers:
    """Have an engine's layers compiled by ``backend``; not started."""
    layers = CompiledLayers(engine.base, backend)
    engine._backend.compiled, engine.runner.spans.call_layer = layers, layers
    return layers


def finished(layers: CompiledLayers) -> CompiledLayers:
    layers.start()
    layers.wait()
    return layers


def assert_same_logits(eager: Engine, other: Engine) -> None:
    for schedule in ("one_shot", "stepwise"):
        both = [engine.logits(PROMPTS, CHOICES, schedule) for engine in (eager, other)]
        for expected, got in zip(*both, strict=True):
            assert (got - expected).abs().max() <= TOLERANCE * expected.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["gemma2", "phi3", "gpt2", "gpt_neox"])
def test_traced_layers_give_the_same_logits_in_every_layout(make_engine: MakeEngine, variant: str) -> None:
    """Two kinds of layer and softcaps, slices of fused outputs, transposed weights, parts of every head."""
    eager, other = make_engine(variant), make_engine(variant)
    assert finished(compiled(other, TRACED)).stats()["state"] == "ready"
    with torch.compiler.set_stance("fail_on_recompile"):
        assert_same_logits(eager, other)


@pytest.mark.slow
def test_generated_code_gives_the_same_logits_and_tokens(make_engine: MakeEngine) -> None:
    eager, other = make_engine(), make_engine(compile=True)
    assert other._backend.compiled is not None
    other._backend.compiled.wait()
    assert other.stats()["compile"]["state"] == "ready"
    with torch.compiler.set_stance("fail_on_recompile"):
        assert_same_logits(eager, other)
        tokens = [[c.token_ids for c in engine.generate(PROMPTS, CHOICES, GREEDY)] for engine in (eager, other)]
    assert tokens[0] == tokens[1]


@pytest.mark.slow
def test_an_adapter_on_a_layer_never_adapted_before_takes_effect_without_a_recompile(
    make_engine: MakeEngine, save_adapter: Callable[..., Any]
) -> None:
    eager, other = make_engine(adapters=()), make_engine(adapters=())
    finished(compiled(other, TRACED))
    points: list[list[Point]] = [[(2, "mlp.down_proj")], [(0, "self_attn.v_proj"), (3, "mlp.gate_proj")]]
    with torch.compiler.set_stance("fail_on_recompile"):
        before = other.logits(PROMPTS)
        for number, where in enumerate(points):
            weights = random_weights(other.base, where, rank=5, seed=number)
            for engine in (eager, other):
                engine.load_adapter(save_adapter(engine.base, f"new-{number}", weights), f"new-{number}")
            both = [engine.logits(PROMPTS, f"new-{number}") for engine in (eager, other)]
            for base, expected, got in zip(before, *both, strict=True):
                assert (got - expected).abs().max() <= TOLERANCE * expected.abs().max()
                assert (got - base).abs().max() > 10 * TOLERANCE * base.abs().max()
        for without, base in zip(other.logits(PROMPTS), before, strict=True):
            assert torch.equal(without, base)


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "kinds"), [("llama", 1), ("gemma2", 2)])
def test_layers_that_are_alike_are_compiled_once_whatever_their_number(variant: str, kinds: int) -> None:
    base = random_base(variant)
    base.module.set_attn_implementation(ATTENTION_NAME)
    LayerInjector(base).register_all()
    before = counters["stats"]["unique_graphs"]
    finished(CompiledLayers(base, TRACED))
    assert counters["stats"]["unique_graphs"] - before == 2 * kinds, "one token and several, for each kind of layer"


@pytest.mark.slow
def test_compiling_beside_a_step_in_progress_touches_nothing_of_it(make_engine: MakeEngine) -> None:
    eager, other = make_engine("gpt2"), make_engine("gpt2")
    layers = compiled(other, TRACED)
    other.logits(PROMPTS, CHOICES)  # puts the adapters on the device
    mixes = [mix for choice in CHOICES for mix in [other.resolve_mix(choice)] * 9]
    with other._backend.injector.step(mixes):
        finished(layers)
    assert layers.stats()["error"] is None
    assert_same_logits(eager, other)


def test_layers_run_as_they_are_until_the_compiler_is_ready(make_engine: MakeEngine) -> None:
    eager, other = make_engine(), make_engine()
    layers = compiled(other, TRACED)
    tokens = [[c.token_ids for c in engine.generate(PROMPTS, CHOICES, GREEDY)] for engine in (eager, other)]
    assert tokens[0] == tokens[1]
    assert layers.stats() == {"state": "compiling", "seconds": 0.0, "error": None}


def test_a_compiler_that_fails_leaves_the_layers_as_they_are_and_says_why(make_engine: MakeEngine) -> None:
    def refuse(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        raise RuntimeError("no compiler on this machine")

    eager, other = make_engine(), make_engine()
    finished(compiled(other, refuse))
    report = other.stats()["compile"]
    assert report["state"] == "failed"
    assert "no compiler on this machine" in report["error"]
    tokens = [[c.token_ids for c in engine.generate(PROMPTS, CHOICES, GREEDY)] for engine in (eager, other)]
    assert tokens[0] == tokens[1]
