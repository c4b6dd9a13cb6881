"""A whole model's weights in packed form, and their file.

Query, key and value are one matrix, gate and up another: a step reads its activations once for each. Made from a GGUF
file or from a loaded model; kept as one safetensors file, mapped when it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from adaptrix_core.base.families.lookup import family_of
from adaptrix_core.base.families.packed_layers import PackedLayers
from adaptrix_core.base.families.parts import DOWN, GATE, OUT, UP, K, Q, V
from adaptrix_core.base.layouts import Layout, PackedMatrix, QuantizedRows, pack, quantize_rows, stack_rows

PACKED_FILE = "packed.safetensors"


_FUSED = {"qkv": (Q, K, V), "o": (OUT,), "gate_up": (GATE, UP), "down": (DOWN,)}
"""The kernels' name of a layer's matrix -> the modules whose rows are stacked in it."""


class TensorSource(Protocol):
    """A source of weights, by transformers' names without the backbone's prefix."""

    errors: list[float]

    def __contains__(self, name: str) -> bool:
        """Whether there is such a tensor."""

    def matrix(self, name: str) -> QuantizedRows:
        """A weight matrix."""

    def vector(self, name: str) -> NDArray[np.float32]:
        """A norm's weight or a bias."""


@dataclass(frozen=True)
class PackedWeights:
    """Matrices and vectors by name: ``layers.3.qkv``, ``layers.3.input_norm``, ``embedding``, ``head``, ``norm``."""

    matrices: dict[str, PackedMatrix]
    vectors: dict[str, Tensor]
    error: float
    """Largest relative error of any matrix against its original weights; 0 where the bytes are the file's own."""

    @property
    def head(self) -> PackedMatrix:
        """The output head; a tied one is the embedding."""
        return self.matrices.get("head", self.matrices["embedding"])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        tensors = [*(m.data for m in self.matrices.values()), *self.vectors.values()]
        return sum(tensor.nbytes for tensor in tensors)

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts of the layers' matrices, those with more bytes first."""
        layers = [m for name, m in self.matrices.items() if name.startswith("layers.")]
        kinds = sorted({m.layout for m in layers}, key=lambda k: -sum(m.data.nbytes for m in layers if m.layout == k))
        return tuple(kinds)

    def save(self, file: Path) -> None:
        """Write everything to ``file``."""
        shapes = {name: [m.layout, m.n, m.k] for name, m in self.matrices.items()}
        tensors = {name: m.data for name, m in self.matrices.items()} | self.vectors
        save_file(tensors, file, {"matrices": json.dumps(shapes), "error": repr(self.error)})

    @classmethod
    def load(cls, file: Path) -> PackedWeights:
        """Map a file that `save` wrote."""
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (not a mapping)
        shapes = json.loads(metadata["matrices"])
        matrices = {name: PackedMatrix(layout, n, k, tensors.pop(name)) for name, (layout, n, k) in shapes.items()}
        return cls(matrices, tensors, float(metadata["error"]))


class ModuleTensors:
    """The tensors of a loaded model, rounded to int8."""

    def __init__(self, module: torch.nn.Module) -> None:
        self._tensors = {name.removeprefix("model."): tensor for name, tensor in module.state_dict().items()}
        self.errors: list[float] = []

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def matrix(self, name: str) -> QuantizedRows:
        """See `TensorSource`."""
        values = self._tensors[name].float().numpy()
        rows = quantize_rows(values)
        self.errors.append(float(np.linalg.norm(rows.floats() - values) / max(float(np.linalg.norm(values)), 1e-30)))
        return rows

    def vector(self, name: str) -> NDArray[np.float32]:
        """See `TensorSource`."""
        values: NDArray[np.float32] = self._tensors[name].float().numpy()
        return values


def why_not_packed(config: Any) -> str | None:
    """Why a model of this configuration cannot run over packed weights; None if it can."""
    packed = family_of(config.model_type).packed
    if packed is None:
        return f"the kernels do not compute the layers of family {config.model_type!r}"
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    checks = {
        "the activation is not silu": config.hidden_act == "silu",
        "projections have biases that the kernels do not add": packed.biases
        or not (getattr(config, "attention_bias", False) or getattr(config, "mlp_bias", False)),
        f"head size {head_dim} is not a multiple of 16 up to 256": head_dim % 16 == 0 and head_dim <= 256,
        "sizes are not multiples of 32": not any(
            size % 32 for size in (config.hidden_size, config.intermediate_size, heads // kv_heads * head_dim)
        ),
    }
    return next((reason for reason, holds in checks.items() if not holds), None)


def pack_weights(source: TensorSource, config: Any) -> PackedWeights:
    """Pack every weight of a model that `why_not_packed` has no objection to."""
    packed = family_of(config.model_type).packed
    assert packed is not None, "`why_not_packed` objects to this model"
    matrices = {"embedding": pack(_as_int8(source.matrix("embed_tokens.weight")))}
    if "lm_head.weight" in source and not config.tie_word_embeddings:
        matrices["head"] = pack(source.matrix("lm_head.weight"))
    vectors = {"norm": torch.from_numpy(source.vector("norm.weight").copy())}
    for layer in range(config.num_hidden_layers):
        for name, parts in _FUSED.items():
            rows = [source.matrix(f"layers.{layer}.{part}.weight") for part in parts]
            matrices[f"layers.{layer}.{name}"] = pack(stack_rows(rows))
        vectors |= dict(_layer_vectors(source, layer, packed))
    return PackedWeights(matrices, vectors, max(source.errors, default=0.0))


def _layer_vectors(source: TensorSource, layer: int, packed: PackedLayers) -> Iterator[tuple[str, Tensor]]:
    for name, module in packed.norms.items():
        yield f"layers.{layer}.{name}", torch.from_numpy(source.vector(f"layers.{layer}.{module}.weight").copy())
    biases = [f"layers.{layer}.{part}.bias" for part in _FUSED["qkv"]]
    if all(name in source for name in biases):
        joined = np.concatenate([source.vector(name) for name in biases])
        yield f"layers.{layer}.qkv_bias", torch.from_numpy(joined)


def _as_int8(rows: QuantizedRows) -> QuantizedRows:
    """The rows in int8, for the embedding: the kernels look single rows up in int8 only."""
    return rows if rows.layout == "int8" else quantize_rows(rows.floats())
