"""PEFT directories for tests: made by PEFT itself, changed afterwards, compared by logits."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model

from adaptrix_core.base import BaseModel
from adaptrix_core.injection.injector import LayerInjector
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Term

TOKENS = torch.tensor([[5, 17, 42, 8, 63, 11, 29, 90, 3]])


def make_peft(base: BaseModel, directory: Path, seed: int = 0, **config) -> torch.Tensor:
    """Save a random PEFT adapter for ``base``; returns PEFT's logits, ``(tokens, vocab)``."""
    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 6, "init_lora_weights": False, **config}
    model = get_peft_model(copy.deepcopy(base.module), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data *= 10  # large updates: a wrong slice or scaling must show
    with torch.inference_mode():
        logits = model(TOKENS).logits[0]
    model.save_pretrained(directory)
    return logits


def our_logits(base: BaseModel, weights: LoraWeights) -> torch.Tensor:
    injector = LayerInjector(base)
    injector.inject_adapter(weights)
    with torch.inference_mode(), injector.step([(Term(weights.weights_digest),)] * TOKENS.shape[1]):
        logits = base.module(TOKENS).logits[0]
    injector.remove_adapter(weights.weights_digest)
    return logits


def assert_equal_logits(ours: torch.Tensor, theirs: torch.Tensor, base: BaseModel) -> None:
    with torch.inference_mode():
        plain = base.module(TOKENS).logits[0]
    scale = theirs.abs().max()
    assert (theirs - plain).abs().max() > 0.05 * scale, "the adapter must change something, or equality says nothing"
    assert (ours - theirs).abs().max() <= 1e-4 * scale


def edit_config(directory: Path, **fields) -> None:
    config = json.loads((directory / "adapter_config.json").read_text())
    (directory / "adapter_config.json").write_text(json.dumps({**config, **fields}))


def edit_tensors(directory: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = safetensors.torch.load((directory / "adapter_model.safetensors").read_bytes())
    change(tensors)
    (directory / "adapter_model.safetensors").write_bytes(safetensors.torch.save(tensors))
