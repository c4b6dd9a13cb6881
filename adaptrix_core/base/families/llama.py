"""Llama and Mistral: the layout that most families share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from adaptrix_core.base.families.family import Family
from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.base.families.packed_layers import NORMS, PackedLayers

if TYPE_CHECKING:
    from adaptrix_core.base.gguf.keys import Keys

_QUERY_OR_KEY = re.compile(r".*\.self_attn\.(?P<which>[qk])_proj\.(weight|bias)")


class MistralFamily(Family):
    """Every layer sees as far as the configuration says."""

    def window(self, model: PreTrainedModel, index: int) -> int | None:
        """See `Family.window`."""
        window: int | None = model.config.sliding_window
        return window


def _fields(keys: Keys) -> dict[str, Any]:
    window = keys.window()
    fields = keys.shape() | {"rope_parameters": keys.rope()}
    if window is not None and window < keys.context:  # Mistral's architecture is written as llama's
        return fields | {"model_type": "mistral", "sliding_window": window}
    return fields | {
        "model_type": "llama",
        "attention_bias": keys.has_bias("attn_q", "attn_k", "attn_v", "attn_output"),
        "mlp_bias": keys.has_bias("ffn_gate", "ffn_up", "ffn_down"),
    }


def _row_order(name: str, rows: NDArray[Any], config: Any) -> NDArray[Any]:
    """Undo llama.cpp's `permute`, which interleaves the two halves of each query and key head."""
    match = _QUERY_OR_KEY.fullmatch(name)
    if match is None:
        return rows
    heads = config.num_attention_heads if match["which"] == "q" else config.num_key_value_heads
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


_GGUF = GGUFArchitecture("llama", _fields, row_order=_row_order)

LLAMA = Family("llama", packed=PackedLayers(NORMS), gguf=_GGUF)
MISTRAL = MistralFamily("mistral", packed=PackedLayers(NORMS), gguf=_GGUF)
