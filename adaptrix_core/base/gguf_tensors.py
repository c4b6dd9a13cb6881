"""A GGUF file's weights under transformers' names, in the file's own quantised form.

Undoes what the file format's converters did to query and key rows of Llama models, which is a matter of whole rows and
leaves the quantised bytes as they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as GGML
from gguf import GGUFReader
from gguf import dequantize as gguf_dequantize
from numpy.typing import NDArray

from adaptrix_core.base.layouts import Layout, QuantizedRows, from_gguf

_MODULES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_TOP = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
_LAYER = re.compile(r"layers\.(\d+)\.(.+)")
_PERMUTED_ARCHITECTURES = ("llama",)
"""Architectures whose converters interleave the two halves of each query and key head (llama.cpp's `permute`)."""


class GGUFTensors:
    """Matrices and vectors of one file, by name: ``layers.3.self_attn.q_proj.weight``, ``embed_tokens.weight`` …"""

    def __init__(self, file: Path, config: Any, layout: Layout) -> None:
        reader = GGUFReader(file)
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self._layout = layout
        architecture = reader.fields["general.architecture"].contents()
        self._heads = (
            {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
            if architecture in _PERMUTED_ARCHITECTURES
            else {}
        )
        self.errors: list[float] = []
        """Relative errors of the matrices read so far, against the values in the file."""

    def __contains__(self, name: str) -> bool:
        return _gguf_name(name) in self._tensors

    def matrix(self, name: str) -> QuantizedRows:
        """A matrix, in the layout asked for where the file has it so, else in int8."""
        tensor = self._tensors[_gguf_name(name)]
        data = np.asarray(tensor.data)
        if data.dtype != np.uint8:  # not quantised: rows of plain numbers
            data = np.ascontiguousarray(data).view(np.uint8).reshape(data.shape[0], -1)
        rows, error = from_gguf(self._in_order(name, data), GGML(tensor.tensor_type), self._layout)
        self.errors.append(error)
        return rows

    def vector(self, name: str) -> NDArray[np.float32]:
        """A norm's weight or a bias."""
        tensor = self._tensors[_gguf_name(name)]
        values = gguf_dequantize(np.asarray(tensor.data), GGML(tensor.tensor_type)).astype(np.float32)
        return self._in_order(name, values)

    def _in_order(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        match = _LAYER.match(name)
        heads = self._heads.get(match[2].rpartition(".")[0]) if match else None
        if heads is None:
            return rows
        pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
        return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows.shape)


def _gguf_name(name: str) -> str:
    module, _, kind = name.rpartition(".")
    match = _LAYER.match(module)
    return f"blk.{match[1]}.{_MODULES[match[2]]}.{kind}" if match else f"{_TOP[module]}.{kind}"
