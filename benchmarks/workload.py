"""The work that every system is given: distinct prompts of equal length, and random adapters on three middle layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from adaptrix_core.base.source import resolve

BASE = "smollm2-135m"
LAYERS, MODULES, RANK = (6, 12, 18), ("q_proj", "up_proj"), 16
NUM_ADAPTERS = 8
PROMPT_TOKENS, OUTPUT_TOKENS = 42, 48
_TEXT = (
    "Row {number}: a small language model serves many specialities when adapters are chosen per request; the lower "
    "layers are shared by all of them, so what is computed there is computed once, and every row of a batch keeps "
    "its own mix."
)


def load_transformers_model(dtype: torch.dtype) -> PreTrainedModel:
    """The base model as transformers loads it."""
    module: PreTrainedModel = AutoModelForCausalLM.from_pretrained(resolve(BASE, dtype).directory, dtype=dtype)
    return module.eval()


def prompts(tokenizer: PreTrainedTokenizerBase, count: int) -> list[list[int]]:
    """``count`` distinct prompts of PROMPT_TOKENS tokens."""
    return [tokenizer.encode(_TEXT.format(number=number))[:PROMPT_TOKENS] for number in range(count)]


def with_adapters(model: PreTrainedModel, directory: Path) -> tuple[PeftModel, list[Path]]:
    """``model`` with NUM_ADAPTERS random adapters, each also saved under ``directory`` in PEFT's format."""
    config = LoraConfig(
        r=RANK, lora_alpha=RANK, target_modules=list(MODULES), layers_to_transform=list(LAYERS), task_type="CAUSAL_LM"
    )
    generator = torch.Generator().manual_seed(0)
    peft_model = get_peft_model(model, config, adapter_name=name(0))
    for index in range(1, NUM_ADAPTERS):
        peft_model.add_adapter(name(index), config)
    for key, parameter in peft_model.named_parameters():
        if "lora_B" in key:
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data.copy_(noise * 0.02)
    peft_model.save_pretrained(directory)
    return peft_model.eval(), [directory / name(index) for index in range(NUM_ADAPTERS)]


def name(index: int) -> str:
    """The name of adapter ``index``."""
    return f"adapter-{index}"


def assignment(rows: int) -> Sequence[str]:
    """The adapter of each row, round robin."""
    return [name(row % NUM_ADAPTERS) for row in range(rows)]
