"""Adapter directories for the command line's tests: random weights for the shipped base model's shapes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from adaptrix_core.adapters import describe, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.injection.lora import LoraWeights, PointWeights

TINY = {
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
}


@pytest.fixture(scope="session")
def tiny_base() -> BaseModel:
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **TINY, bos_token_id=1, eos_token_id=2))
    return BaseModel.from_module(module, lineage="test/llama", name="tiny-llama")


def random_weights(base: BaseModel, layers: tuple[int, ...] = (1, 2), rank: int = 2) -> LoraWeights:
    """Weights for every layer's query projection; small, so that answers stay text."""
    generator = torch.Generator().manual_seed(0)
    points = {}
    for layer in layers:
        spec = base.points[layer, "self_attn.q_proj"]
        lora_a = torch.randn(rank, spec.d_in, generator=generator) * 0.01
        lora_b = torch.randn(spec.d_out, rank, generator=generator) * 0.01
        points[layer, "self_attn.q_proj"] = PointWeights(lora_a, lora_b, 1.0)
    return LoraWeights(points)


@pytest.fixture
def make_package(tiny_base: BaseModel, tmp_path: Path) -> Callable[[str], Path]:
    """``make_package(name)`` -> an unsigned adapter directory for the tiny base."""

    def make(name: str) -> Path:
        weights = random_weights(tiny_base)
        directory = tmp_path / name
        write_package(directory, describe(weights, tiny_base.info, name, description="a test"), weights)
        return directory

    return make
