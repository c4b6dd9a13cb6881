"""A GGUF file's weights under transformers' names, as values or in the file's own quantised form.

The architecture says how llama.cpp's converter changed them, and here that is undone: permutations of whole rows in
quantised bytes too, other changes in values only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as GGML
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedConfig

from adaptrix_core.base.gguf.config import architecture_of
from adaptrix_core.base.gguf.file import GGUFFile
from adaptrix_core.base.layouts import Layout, QuantizedRows, from_gguf

_MAY_BE_MISSING = re.compile(r".*\.self_attn\.[qkvo]_proj\.bias")
"""Names of weights that a file may lack: attention biases, which then count as zeros, as in llama.cpp."""


class TensorNames:
    """transformers' name of every weight of a model, with its name in the file and its shape."""

    def __init__(self, file: GGUFFile, config: PreTrainedConfig) -> None:
        with torch.device("meta"):
            described = AutoModelForCausalLM.from_config(config)
        tied = set(getattr(described, "all_tied_weights_keys", None) or ()) if config.tie_word_embeddings else set()
        self.shapes = {name: tuple(t.shape) for name, t in described.state_dict().items() if name not in tied}
        architecture = next(arch for arch, name in gguf.MODEL_ARCH_NAMES.items() if name == file.architecture)
        names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
        self.in_file = {name: _in_file(names, name) for name in self.shapes}


def _in_file(names: gguf.TensorNameMap, name: str) -> str:
    module, _, kind = name.rpartition(".")
    return f"{names.get_name(module) or module}.{kind}"


class GGUFTensors:
    """Matrices and vectors of one file, by name: ``layers.3.self_attn.q_proj.weight``, ``embed_tokens.weight`` …

    A missing weight, or one with another shape than the metadata says, is a BaseModelError (unsupported_gguf).
    """

    def __init__(self, file: GGUFFile, config: PreTrainedConfig, layout: Layout = "int8") -> None:
        self._file = file
        self._architecture = architecture_of(file)
        self._config = config
        self._layout = layout
        self._names = TensorNames(file, config)
        self.errors: list[float] = []
        """Relative errors of the matrices read so far, against the values in the file."""

    def __contains__(self, name: str) -> bool:
        return self._names.in_file.get(_full(name), "") in self._file

    def matrix(self, name: str) -> QuantizedRows:
        """A matrix, in the wanted layout where the file has that, else in int8."""
        full = _full(name)
        tensor = self._file.tensor(self._names.in_file[full])
        self._check_shape(full, self._file.shape(self._names.in_file[full]))
        data = np.asarray(tensor.data)
        if data.dtype != np.uint8:  # not quantised: rows of plain numbers
            data = np.ascontiguousarray(data).view(np.uint8).reshape(data.shape[0], -1)
        rows, error = from_gguf(
            self._architecture.row_order(full, data, self._config), GGML(tensor.tensor_type), self._layout
        )
        self.errors.append(error)
        return rows

    def vector(self, name: str) -> NDArray[np.float32]:
        """A norm's weight or a bias."""
        return self._values(_full(name))

    def state_dict(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """Every weight of the model under its transformers name."""
        return dict(self._all_values(dtype))

    def _all_values(self, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
        for name, shape in self._names.shapes.items():
            if _MAY_BE_MISSING.fullmatch(name) and self._names.in_file[name] not in self._file:
                yield name, torch.zeros(shape, dtype=dtype)
            else:
                yield name, torch.from_numpy(self._values(name)).to(dtype)

    def _values(self, name: str) -> NDArray[np.float32]:
        values = self._file.values(self._names.in_file[name])
        values = self._architecture.row_order(name, values, self._config)
        values = self._architecture.values(name, values, self._config)
        self._check_shape(name, values.shape)
        return np.ascontiguousarray(values)

    def _check_shape(self, name: str, shape: tuple[int, ...]) -> None:
        expected = self._names.shapes[name]
        if tuple(shape) != expected:
            raise self._file.refused(
                f"tensor {self._names.in_file[name]!r} has shape {tuple(shape)}, the file's metadata gives {expected}"
            )


def _full(name: str) -> str:
    """transformers' full name of a weight, from the name without the backbone that `pack_weights` uses."""
    return name if name.startswith("lm_head.") else f"model.{name}"
