"""Swapping an adapter that is in host memory costs one copy into the device: no hook, no file, nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.injection.lora import LoraWeights
from tests.engine.conftest import MakeEngine
from tests.tiny_models import random_base, random_prompts, random_weights

PROMPT = random_prompts([9])[0]
SHORT = SamplingParams(max_tokens=3, temperature=0.0, ignore_eos=True)


def hooks_of(engine: Engine) -> dict[str, list[int]]:
    """Ids of the forward hooks on every module of the model."""
    modules = engine.base.module.named_modules()
    return {name: list(module._forward_hooks) for name, module in modules if module._forward_hooks}


def one_layer_each(base: BaseModel) -> dict[str, LoraWeights]:
    """Adapters of equal size, each in a layer of its own."""
    return {
        f"layer{layer}": random_weights(base, [p for p in base.points if p[0] == layer], seed=layer)
        for layer in range(base.info.num_layers)
    }


@pytest.mark.parametrize("variant", ["llama", "gpt2", "gpt_neox", "phi3"])
def test_no_hook_comes_or_goes_with_adapters_in_layers_that_none_adapted_before(
    make_engine: MakeEngine, variant: str, save_adapter: Callable[..., Path]
) -> None:
    engine = make_engine(variant, adapters=())
    hooks = hooks_of(engine)
    assert sum(map(len, hooks.values())) == len(engine.base.points)
    for name, weights in one_layer_each(engine.base).items():
        engine.load_adapter(save_adapter(engine.base, name, weights), name)
        engine.generate([PROMPT], name, SHORT)
        assert hooks_of(engine) == hooks
    for name in list(engine.loader.loaded_names()):
        engine.unload_adapter(name)
    engine.loader.cleanup_unused_adapters()
    assert hooks_of(engine) == hooks


def test_a_swap_is_one_copy_and_reads_no_file(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, save_adapter: Callable[..., Path]
) -> None:
    base = random_base()
    adapters = one_layer_each(base)
    room_for_one = {"device_budget_bytes": max(weights.nbytes for weights in adapters.values())}
    engine = make_engine(base=base, adapters=(), loader=room_for_one)
    for name, weights in adapters.items():
        package = save_adapter(base, name, weights)
        engine.load_adapter(package, name)
        shutil.rmtree(package)
    hooks, copied = hooks_of(engine), []
    injector = engine._backend.injector
    inject = injector.inject_adapter
    monkeypatch.setattr(injector, "inject_adapter", lambda w: copied.append(w.weights_digest) or inject(w))
    first = {name: engine.generate([PROMPT], name, SHORT)[0].token_ids for name in adapters}
    again = {name: engine.generate([PROMPT], name, SHORT)[0].token_ids for name in adapters}
    assert again == first
    assert copied == [weights.weights_digest for weights in adapters.values()] * 2
    assert hooks_of(engine) == hooks
