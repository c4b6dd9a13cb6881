"""A tiny model of each family with adapters that PEFT made, saved and computes with: what the engine is compared to."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from transformers import PreTrainedModel

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions
from tests.tiny_models import random_module, random_prompts

TOLERANCE = 1e-4
"""Of the largest logit."""

NATIVE_MODULES: Mapping[str, tuple[str, ...]] = {
    "phi3": ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"),
    "gpt2": ("c_attn", "c_proj", "c_fc"),
    "gpt_neox": ("query_key_value", "attention.dense", "dense_h_to_4h", "dense_4h_to_h"),
    "opt": ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
}
LLAMA_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

CHOICES = (None, "everything", "rslora", None, "patterned", "everything")
PROMPT_LENGTHS = (1, 5, 17, 30, 9, 23)


def peft_configs(model_type: str) -> dict[str, dict[str, Any]]:
    """Three adapters that differ in rank, layers, modules and scaling."""
    modules = NATIVE_MODULES.get(model_type, LLAMA_MODULES)
    first, last = modules[0], modules[-1]
    return {
        "everything": {"r": 4, "lora_alpha": 12, "target_modules": list(modules)},
        "rslora": {
            "r": 3,
            "lora_alpha": 6,
            "use_rslora": True,
            "target_modules": [first, last],
            "layers_to_transform": [1, 2],
        },
        "patterned": {
            "r": 2,
            "lora_alpha": 6,
            "target_modules": list(modules[:-1]),
            "layers_to_transform": [0, 3],
            "rank_pattern": {first: 5},
            "alpha_pattern": {first: 9, modules[1]: 4},
        },
    }


@dataclass(frozen=True)
class Case:
    """One model with its adapters: an engine, and what PEFT says about it."""

    variant: str
    engine: Engine
    plain: PreTrainedModel
    peft: PeftModel
    merged: Mapping[str, PreTrainedModel]
    prompts: list[list[int]]
    directory: Path
    """Where PEFT saved the adapters, each in a directory of its name."""

    def peft_logits(self, tokens: list[int], adapter: str | None) -> Tensor:
        """PEFT's logits of one row, computed alone, ``(tokens, vocab)``."""
        if adapter is None:
            return logits_of(self.plain, tokens)
        self.peft.set_adapter(adapter)
        return logits_of(self.peft, tokens)


def logits_of(model: torch.nn.Module, tokens: list[int]) -> Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([tokens])).logits[0]


def relative_error(actual: Tensor, expected: Tensor) -> float:
    assert actual.shape == expected.shape
    return float((actual - expected).abs().max() / expected.abs().max())


def save_peft(module: PreTrainedModel, directory: Path) -> PeftModel:
    """Random adapters for ``module``, saved by PEFT itself, one directory each."""
    model: Any = None
    for name, config in peft_configs(module.config.model_type).items():
        transposed = module.config.model_type == "gpt2"
        lora = LoraConfig(**config, task_type="CAUSAL_LM", init_lora_weights=False, fan_in_fan_out=transposed)
        if model is None:
            model = get_peft_model(module, lora, adapter_name=name)
        else:
            model.add_adapter(name, lora)
    model.eval().save_pretrained(directory)
    return model


def build_case(variant: str, directory: Path, **options: Any) -> Case:
    plain = random_module(variant)
    peft = save_peft(copy.deepcopy(plain), directory)
    merged = {
        name: PeftModel.from_pretrained(copy.deepcopy(plain), str(directory / name)).merge_and_unload()
        for name in peft.peft_config
    }
    options = {"block_size": 4, "kv_cache_tokens": 512, "max_batch_tokens": 128, **options}
    base = BaseModel.from_module(copy.deepcopy(plain))
    engine = Engine(base, directory / "catalogue", TrustPolicy("off"), EngineOptions(**options))
    for name in merged:
        engine.load_adapter(directory / name, name)
    return Case(variant, engine, plain, peft, merged, random_prompts(PROMPT_LENGTHS), directory)
