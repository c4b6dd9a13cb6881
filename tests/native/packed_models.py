"""Tiny models over packed weights, each with an unpacked twin that has the same weights."""

from __future__ import annotations

import gguf
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

from adaptrix_core.base.layouts import Layout, QuantizedRows, quantize_rows
from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.packed import ModuleTensors, PackedWeights, pack_weights
from adaptrix_core.base.packed_model import PackedModel
from tests.tiny_models import random_module

VARIANTS = ("llama", "llama-rope3", "mistral", "qwen2", "qwen3")
"""Every arrangement that the kernels compute: scaled rotation, windows, biases, norms of heads."""

_FUSED = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "o": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}


def twins(variant: str, layout: Layout = "int8") -> tuple[PackedModel, BaseModel]:
    """The same model packed, and as a transformers module that holds the weights which the packed bytes stand for."""
    module = random_module(variant)
    source = ModuleTensors(module) if layout == "int8" else _Int4Tensors(module)
    weights = pack_weights(source, module.config)
    _put_back(weights, module)
    with torch.device("meta"):
        described = AutoModelForCausalLM.from_config(module.config)
    lineage = f"test/{variant}"
    packed = PackedModel(described, weights, None, "in-memory", lineage, "0" * 64)
    return packed, BaseModel.from_module(module, lineage=lineage)


class _Int4Tensors(ModuleTensors):
    """Every matrix of a layer rounded to Q4_1, as a GGUF file would have it."""

    def matrix(self, name: str) -> QuantizedRows:
        values: NDArray[np.float32] = self._tensors[name].float().numpy()
        if not name.startswith("layers."):
            return quantize_rows(values)
        return QuantizedRows("int4", gguf.quantize(values, gguf.GGMLQuantizationType.Q4_1))


def _put_back(weights: PackedWeights, module: torch.nn.Module) -> None:
    state = module.state_dict()
    with torch.no_grad():
        state["model.embed_tokens.weight"].copy_(weights.matrices["embedding"].dequantize())
        state["lm_head.weight"].copy_(weights.head.dequantize())
        for name, matrix in weights.matrices.items():
            if name.startswith("layers."):
                _, layer, fused = name.split(".")
                parts = [state[f"model.layers.{layer}.{part}.weight"] for part in _FUSED[fused]]
                for part, values in zip(parts, matrix.dequantize().split([len(p) for p in parts]), strict=True):
                    part.copy_(values)
