"""Canonical module names, injection points, and the part of a real module that each canonical one is.

Everything outside a family speaks canonical names (`self_attn.q_proj`, `mlp.up_proj`, …). A real module of a
transformers model may compute several of them at once (a fused module).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from adaptrix_core.errors import BaseModelError

Q, K, V, OUT = "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"
GATE, UP, DOWN = "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"

MODULES = (Q, K, V, OUT, GATE, UP, DOWN)
"""The canonical module names, in the order in which a layer runs them."""

ALIASES: Mapping[str, str] = {"mlp.c_fc": UP, "mlp.c_proj": DOWN}

Point = tuple[int, str]
"""An injection point: (layer index, canonical module name)."""


def canonical_name(module: str) -> str:
    """The canonical name of ``module``; raises BaseModelError for a name that is neither canonical nor an alias."""
    name = ALIASES.get(module, module)
    if name not in MODULES:
        known = ", ".join((*MODULES, *ALIASES))
        raise BaseModelError(f"module name {module!r} is not known; use one of {known}", code="unknown_module")
    return name


@dataclass(frozen=True)
class Whole:
    """The canonical module is the real module."""

    def view(self, output: Tensor) -> Tensor:
        """The part of the real module's ``output`` ``(tokens, d)`` that belongs to the canonical module."""
        return output

    def rows(self, d_out_real: int) -> Tensor:
        """Output indices of the real module that belong to the canonical one, ``(d_out,)`` int64."""
        return torch.arange(d_out_real)


@dataclass(frozen=True)
class Slice:
    """Outputs ``start … stop`` of a fused module (GPT-2 `c_attn`, Phi-3 `qkv_proj` and `gate_up_proj`)."""

    start: int
    stop: int

    def view(self, output: Tensor) -> Tensor:
        """See `Whole.view`."""
        return output[..., self.start : self.stop]

    def rows(self, d_out_real: int) -> Tensor:
        """See `Whole.rows`."""
        return torch.arange(self.start, self.stop)


@dataclass(frozen=True)
class PerHead:
    """Part ``index`` of ``num_parts`` inside every head of a fused module (GPT-NeoX `query_key_value`)."""

    index: int
    num_parts: int
    num_heads: int
    head_dim: int

    def view(self, output: Tensor) -> Tensor:
        """The part as ``(tokens, heads, head_dim)``: a view, so that writing to it writes to ``output``."""
        part: Tensor = output.unflatten(-1, (self.num_heads, self.num_parts, self.head_dim))[..., self.index, :]
        return part

    def rows(self, d_out_real: int) -> Tensor:
        """See `Whole.rows`."""
        grid = torch.arange(d_out_real).view(self.num_heads, self.num_parts, self.head_dim)
        return grid[:, self.index].reshape(-1)


Part = Whole | Slice | PerHead


@dataclass(frozen=True)
class PointSpec:
    """One injection point of a loaded model."""

    layer: int
    name: str
    d_in: int
    d_out: int
    module_path: str
    """The real module inside the layer, for example ``attn.c_attn``."""
    part: Part


def linear_shape(module: nn.Module) -> tuple[int, int]:
    """(d_in, d_out) of a linear module; Conv1D (GPT-2) stores its weight transposed."""
    if isinstance(module, Conv1D):
        return int(module.weight.shape[0]), int(module.weight.shape[1])
    assert isinstance(module, nn.Linear), type(module)
    return module.in_features, module.out_features
