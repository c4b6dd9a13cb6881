"""The engine on Apple's GPU: a smoke test, skipped where there is none."""

from __future__ import annotations

import copy

import pytest
import torch

from adaptrix_core.base import BaseModel
from tests.engine.conftest import MakeEngine
from tests.tiny_models import random_module, random_prompts, random_weights

TOLERANCE = 1e-3
"""Of the largest logit: float32 sums in another order."""


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device")
@pytest.mark.parametrize("variant", ["llama", "gemma2"])
def test_logits_equal_those_of_the_cpu(make_engine: MakeEngine, variant: str) -> None:
    module = random_module(variant)
    engines = []
    for device in ("cpu", "mps"):
        base = BaseModel.from_module(copy.deepcopy(module).to(device), lineage="test/random")
        engines.append(make_engine(base=base, adapters={"red": random_weights(base)}))
    prompts = random_prompts((3, 17, 9))
    choices = [None, "red", {"red": 0.5}]
    for on_cpu, on_mps in zip(*(engine.logits(prompts, choices) for engine in engines), strict=True):
        assert (on_cpu - on_mps.cpu()).abs().max() <= TOLERANCE * on_cpu.abs().max()
