"""What injection leaves as it was, over every family: residual streams, masks, and keys and values over switches.

`docs/context.md` lists these properties with the tests elsewhere that hold the others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.injection.lora import PointWeights
from tests.engine.conftest import idle_faults
from tests.engine.driving import drain, tokens_of
from tests.engine.peft_cases import TOLERANCE, Case, build_case, relative_error
from tests.engine.rows.switching import assert_computed_under, start, step
from tests.tiny_models import CONFIGS, NUM_LAYERS, WINDOW, random_prompts, random_weights

PROMPT = random_prompts([30], seed=5)[0]
MIX = {"everything": 0.7, "patterned": -0.4}
NORM_AFTER_THE_MLP = ("gemma2", "gemma3", "opt-post-norm")
ALL_LAYERS_HAVE_WINDOWS = ("mistral", "phi3")


@pytest.fixture(scope="module", params=list(CONFIGS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    built = build_case(request.param, tmp_path_factory.mktemp(request.param))
    yield built
    built.engine.loader.close()


def term_of(weights: PointWeights, inputs: Tensor, factor: float) -> Tensor:
    """``factor * scaling * B (A x)``, ``(tokens, d_out)``."""
    return factor * weights.scaling * (inputs @ weights.lora_a.float().T) @ weights.lora_b.float().T


# --- residual streams -----------------------------------------------------------------------------------------------


def test_an_injected_module_gives_what_it_gave_and_its_lora_terms(case: Case) -> None:
    base, seen = case.engine.base, dict[tuple[int, str], tuple[Tensor, Tensor]]()
    layers = base.family.layers(base.module)
    places = {(spec.layer, spec.module_path) for spec in base.points.values()}

    def keep(place: tuple[int, str]) -> Any:
        def hook(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            seen[place] = (args[0].reshape(-1, args[0].shape[-1]).clone(), output.reshape(-1, output.shape[-1]).clone())

        return hook

    handles = [layers[layer].get_submodule(path).register_forward_hook(keep((layer, path))) for layer, path in places]
    case.engine.inspect(PROMPT, MIX)
    for handle in handles:
        handle.remove()
    adapters = {name: case.engine.loader.load(name).weights.points for name in MIX}
    for (layer, path), (inputs, output) in seen.items():
        with torch.inference_mode():
            alone = layers[layer].get_submodule(path).forward(inputs)  # without hooks
        rest = output.clone()
        for point, spec in base.points.items():
            if (spec.layer, spec.module_path) == (layer, path):
                columns = spec.part.rows(output.shape[-1])
                for name, factor in MIX.items():
                    if point in adapters[name]:
                        rest[:, columns] -= term_of(adapters[name][point], inputs, factor)
        assert relative_error(rest, alone) < TOLERANCE, (layer, path)
        assert relative_error(output, alone) > 10 * TOLERANCE, (layer, path)
    assert set(seen) == places


def test_layers_below_the_first_injected_one_compute_the_same_bits(case: Case) -> None:
    plain, injected = case.engine.inspect(PROMPT), case.engine.inspect(PROMPT, "rslora")  # on layers 1 and 2
    assert torch.equal(injected.states[0], plain.states[0])
    for layer in range(1, NUM_LAYERS):
        assert relative_error(injected.states[layer], plain.states[layer]) > 100 * TOLERANCE


@pytest.mark.parametrize("layer", [0, 2])
def test_an_injected_layers_output_minus_its_lora_term_is_the_base_layers(
    case: Case, layer: int, tmp_path: Path
) -> None:
    if case.variant in NORM_AFTER_THE_MLP:
        pytest.skip("the term goes through a norm on its way into the stream; the test of modules holds here")
    engine, point = case.engine, (layer, "mlp.down_proj")
    weights = random_weights(engine.base, [point], seed=7)
    write_package(tmp_path / "down", describe(weights, engine.base.info, "down"), weights)
    engine.load_adapter(tmp_path / "down", f"down{layer}")
    spec, inputs = engine.base.points[point], list[Tensor]()
    module = engine.base.family.layers(engine.base.module)[layer].get_submodule(spec.module_path)
    handle = module.register_forward_hook(lambda _module, args, _output: inputs.append(args[0].reshape(30, -1).clone()))
    plain, injected = engine.inspect(PROMPT), engine.inspect(PROMPT, {f"down{layer}": 0.5})
    handle.remove()
    assert torch.equal(inputs[0], inputs[1])
    term = term_of(weights.points[point], inputs[1], 0.5)
    assert relative_error(injected.states[layer] - term, plain.states[layer]) < TOLERANCE
    assert relative_error(injected.states[layer], plain.states[layer]) > 10 * TOLERANCE


# --- attention masks ------------------------------------------------------------------------------------------------


def test_under_a_mix_no_token_sees_a_later_one(case: Case) -> None:
    other = [*PROMPT[:20], *random_prompts([10], seed=6)[0]]
    ours, theirs = case.engine.logits([PROMPT, other], [MIX, MIX])
    assert relative_error(theirs[:20], ours[:20]) < TOLERANCE
    assert relative_error(theirs[20:], ours[20:]) > 100 * TOLERANCE


def test_under_a_mix_windows_are_as_wide_as_without(case: Case) -> None:
    """A first token reaches ``WINDOW - 1`` tokens further in each layer where all layers have windows, else all."""
    other = [PROMPT[0] - 1 or 2, *PROMPT[1:]]
    ours, theirs = case.engine.logits([PROMPT, other], [MIX, MIX])
    reached = NUM_LAYERS * (WINDOW - 1) + 1 if case.variant in ALL_LAYERS_HAVE_WINDOWS else len(PROMPT)
    changed = ((ours - theirs).abs().amax(-1) / ours.abs().max()).tolist()
    assert max(changed[reached:], default=0.0) < TOLERANCE
    assert min(changed[: min(reached, WINDOW)]) > TOLERANCE


# --- keys, values and positions over switches -----------------------------------------------------------------------


@pytest.fixture(params=[None, 2], ids=["one-span", "two-spans"])
def engine(case: Case, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    options = EngineOptions(block_size=4, kv_cache_tokens=512, max_batch_tokens=128, cut=request.param)
    made = Engine(BaseModel.from_module(copy.deepcopy(case.plain)), tmp_path, TrustPolicy("off"), options)
    for name in case.merged:
        made.load_adapter(case.directory / name, name)
    yield made
    assert idle_faults(made) == []
    made.loader.close()


def test_keep_continues_as_peft_does_with_its_cache_kept(case: Case, engine: Engine) -> None:
    start(engine, PROMPT[:9], "everything")
    events = step(engine, 5)
    engine.switch("switched", "rslora", history="keep")
    events += drain(engine)
    assert_computed_under(case, {0: "everything", 13: "rslora"}, PROMPT[:9], events)


def test_recompute_continues_as_a_cold_run_does(case: Case, engine: Engine) -> None:
    start(engine, PROMPT[:9], "everything")
    events = step(engine, 5)
    engine.switch("switched", "patterned", history="recompute")
    events += drain(engine)
    assert_computed_under(case, {0: "patterned"}, PROMPT[:9], events, since=14)
    so_far = [*PROMPT[:9], *tokens_of(events)["switched", 0][:5]]
    start(engine, so_far, "patterned", "cold", max_tokens=9)
    assert tokens_of(drain(engine))["cold", 0] == tokens_of(events)["switched", 0][5:]
