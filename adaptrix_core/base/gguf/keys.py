"""The keys of a GGUF file that describe its model's shape, as every family reads them."""

from __future__ import annotations

from typing import Any

from adaptrix_core.base.gguf.file import GGUFFile
from adaptrix_core.base.gguf.rope import rope_parameters
from adaptrix_core.errors import BaseModelError


class Keys:
    """The keys under the architecture's name, which are named here without it."""

    def __init__(self, file: GGUFFile) -> None:
        self._file = file
        self.architecture = file.architecture
        self.prefix = f"{file.architecture}."
        self.layers = self.number("block_count")
        self.hidden = self.number("embedding_length")
        self.heads = self.number("attention.head_count")
        self.head_dim = self.number("attention.key_length", self.hidden // self.heads)
        self.context = self.number("context_length")
        if self.number("attention.value_length", self.head_dim) != self.head_dim:
            raise self.refused("attention.value_length differs from attention.key_length")

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a key."""
        return self._file.get(self.prefix + name, default)

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number; where the file gives one for each layer they must be equal."""
        value = self.get(name, default)
        values = set(value) if isinstance(value, list) else {value}
        if len(values) != 1 or None in values:
            what = "is missing" if values == {None} else "differs between layers, which is not supported"
            raise self.refused(f"{name} {what}")
        return int(values.pop())

    def shape(self) -> dict[str, Any]:
        """Configuration fields that most families share."""
        return {
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": self.number("feed_forward_length"),
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.number("attention.head_count_kv", self.heads),
            "head_dim": self.head_dim,
            "max_position_embeddings": self.context,
            "rms_norm_eps": float(self.get("attention.layer_norm_rms_epsilon", 1e-6)),
        }

    def rotary_dim(self) -> int:
        """Dimensions of a head that are rotated."""
        return self.number("rope.dimension_count", self.head_dim)

    def rope(self) -> dict[str, Any]:
        """``rope_parameters`` of a family that rotates whole heads."""
        if self.rotary_dim() != self.head_dim:
            raise self.refused(f"rope.dimension_count is not the size of a head, {self.head_dim}")
        return rope_parameters(self._file, self.head_dim, self.context)

    def rope_of_part(self) -> dict[str, Any]:
        """``rope_parameters`` of a family that rotates a part of each head."""
        rotary = self.rotary_dim()
        parameters = rope_parameters(self._file, rotary, self.context)
        return parameters | {"partial_rotary_factor": rotary / self.head_dim}

    def has_bias(self, *modules: str) -> bool:
        """Whether the first layer has a bias in one of these modules."""
        return any(f"blk.0.{module}.bias" in self._file for module in modules)

    def window(self, default: int = 0) -> int | None:
        """Window of sliding layers, in keys that a token sees; None without one."""
        return self.number("attention.sliding_window", default) or None

    def refused(self, what: str) -> BaseModelError:
        """The error for a key, with which ``what`` begins, that cannot be honoured."""
        return self._file.refused(self.prefix + what)
