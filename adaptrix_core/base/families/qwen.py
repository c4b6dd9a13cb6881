"""Qwen 2, with biases on query, key and value, and Qwen 3, with a norm on each query and key head instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adaptrix_core.base.families.family import Family
from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.base.families.packed_layers import HEAD_NORMS, NORMS, PackedLayers

if TYPE_CHECKING:
    from adaptrix_core.base.gguf.keys import Keys


def _fields(keys: Keys) -> dict[str, Any]:
    window = keys.window()
    if window is not None and window < keys.context:  # the file does not say for which layers
        raise keys.refused(f"attention.sliding_window = {window} is not supported for this architecture")
    return keys.shape() | {"model_type": keys.architecture, "rope_parameters": keys.rope()}


def _fields_of_qwen3(keys: Keys) -> dict[str, Any]:
    return _fields(keys) | {"attention_bias": keys.has_bias("attn_q", "attn_k", "attn_v", "attn_output")}


QWEN2 = Family("qwen2", packed=PackedLayers(NORMS, biases=True), gguf=GGUFArchitecture("qwen2", _fields))
QWEN3 = Family("qwen3", packed=PackedLayers({**NORMS, **HEAD_NORMS}), gguf=GGUFArchitecture("qwen3", _fields_of_qwen3))
