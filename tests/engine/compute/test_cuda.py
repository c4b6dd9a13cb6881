"""The engine on a CUDA device computes what it computes on the CPU. Skipped, with the reason, where there is none."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, SamplingParams
from tests.tiny_models import CONFIGS, random_module, random_prompts, random_weights

pytestmark = pytest.mark.gpu

TOLERANCE = 1e-3
"""Of the largest logit: float32 sums in another order."""


@pytest.fixture(autouse=True)
def full_float32() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("variant", list(CONFIGS))
def test_logits_and_greedy_tokens_equal_those_of_the_cpu(make_engine: Callable[..., Engine], variant: str) -> None:
    module = random_module(variant)
    engines = []
    for device in ("cpu", "cuda"):
        base = BaseModel.from_module(copy.deepcopy(module).to(device), lineage="test/random")
        weights = random_weights(base, points=list(base.points), rank=3, seed=1)
        engines.append(make_engine(base=base, adapters={"red": weights}))
    prompts = random_prompts((3, 17, 9))
    choices = [None, "red", {"red": 0.5}]
    for on_cpu, on_cuda in zip(*(engine.logits(prompts, choices) for engine in engines), strict=True):
        assert (on_cpu - on_cuda.cpu()).abs().max() <= TOLERANCE * on_cpu.abs().max()
    params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
    tokens = [[c.token_ids for c in engine.generate(prompts, choices, params)] for engine in engines]
    assert tokens[0] == tokens[1]


def test_adapters_are_applied_by_the_triton_kernels(make_engine: Callable[..., Engine]) -> None:
    pytest.importorskip("triton", reason="triton is not installed; it comes with CUDA builds of torch")
    from adaptrix_core.injection.backends.triton import TritonLora

    base = BaseModel.from_module(random_module().to("cuda"), lineage="test/random")
    assert isinstance(make_engine(base=base)._backend.injector._backend, TritonLora)


@pytest.mark.slow
def test_compiled_layers_compute_what_the_layers_compute(make_engine: Callable[..., Engine]) -> None:
    module = random_module().to("cuda")
    engines = [
        make_engine(base=BaseModel.from_module(copy.deepcopy(module), lineage="test/random"), compile=compiled)
        for compiled in (False, True)
    ]
    assert engines[1]._backend.compiled is not None
    engines[1]._backend.compiled.wait()
    prompts, choices = random_prompts((3, 17, 1)), [None, "red", {"blue": 0.5}]
    with torch.compiler.set_stance("fail_on_recompile"):
        for eager, compiled in zip(*(engine.logits(prompts, choices, "stepwise") for engine in engines), strict=True):
            assert (eager - compiled).abs().max() <= TOLERANCE * eager.abs().max()
