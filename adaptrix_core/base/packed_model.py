"""A base model over packed weights: its facts as a `BaseModel`, its embedding and its head.

The transformers module stays as the description of the model (configuration, names, shapes) and holds no weights; its
layers are run by `engine/compute/native.py`.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from adaptrix_core.base.layouts import PackedMatrix
from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.packed import PackedWeights
from adaptrix_core.native import library, structs


class PackedModel(BaseModel):
    """A base model whose layers run over packed weights on the CPU."""

    def __init__(
        self,
        module: PreTrainedModel,
        weights: PackedWeights,
        tokenizer: PreTrainedTokenizerBase | None,
        name: str,
        lineage: str,
        digest: str,
    ) -> None:
        """module: on the meta device."""
        self.weights = weights
        super().__init__(module, tokenizer, name, lineage, digest)
        self._library = library()
        self._embedding = matrix_struct(weights.matrices["embedding"])
        self._head = matrix_struct(weights.head)
        self._rotary = _rotary_module(self)

    @property
    def device(self) -> torch.device:
        """See `BaseModel.device`."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """See `BaseModel.dtype`."""
        return torch.float32

    @property
    def kv_dtype(self) -> torch.dtype:
        """See `BaseModel.kv_dtype`."""
        return torch.float16

    @property
    def layout(self) -> str:
        """See `BaseModel.layout`."""
        return "+".join(self.weights.layouts)

    @property
    def memory_bytes(self) -> int:
        """See `BaseModel.memory_bytes`."""
        return self.weights.nbytes

    def embed(self, token_ids: Tensor, positions: Tensor) -> Tensor:
        """See `BaseModel.embed`."""
        ids = token_ids.reshape(-1).contiguous()
        states = torch.empty(1, ids.numel(), self.info.hidden_size)
        self._library.adaptrix_rows(ctypes.byref(self._embedding), ids.data_ptr(), ids.numel(), states.data_ptr())
        return states

    def rotary_table(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosine and sine of positions 0 … length, ``(length, head_dim)`` float32 each."""
        positions = torch.arange(length)[None]
        cosine, sine = self._rotary(torch.empty(1, 1, 1), positions)
        return cosine[0].float().contiguous(), sine[0].float().contiguous()

    def window(self, layer: int) -> int | None:
        """Keys that a token of ``layer`` sees; None for all before it."""
        return self.family.window(self.module, layer)

    def head(self, hidden: Tensor) -> Tensor:
        """See `BaseModel.head`."""
        states = hidden.contiguous()
        logits = torch.empty(len(states), self.weights.head.padded_n)
        self._library.adaptrix_linear(
            ctypes.byref(self._head),
            self.weights.vectors["norm"].data_ptr(),
            self.module.config.rms_norm_eps,
            states.data_ptr(),
            len(states),
            None,
            logits.data_ptr(),
            torch.get_num_threads(),
        )
        return logits[:, : self.info.vocab_size]


def describe_module(config: Any, directory: Path) -> PreTrainedModel:
    """A module without weights, with the generation config of its directory."""
    with torch.device("meta"):
        module: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    if (directory / "generation_config.json").is_file():
        module.generation_config = GenerationConfig.from_pretrained(directory)
    return module


def matrix_struct(matrix: PackedMatrix) -> ctypes.Structure:
    """A packed matrix as the kernels see it; valid while the matrix lives."""
    return structs.Matrix(
        data=matrix.data.data_ptr(), layout=structs.LAYOUT_CODES[matrix.layout], n=matrix.padded_n, k=matrix.k
    )


def _rotary_module(base: PackedModel) -> Any:
    described = base.family.backbone(base.module).rotary_emb
    return type(described)(base.module.config)
