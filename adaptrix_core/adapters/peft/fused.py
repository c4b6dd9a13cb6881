"""Splits LoRA on a fused module into its canonical parts, and joins parts again, exactly.

A fused module (GPT-2 `c_attn`, Phi-3 `qkv_proj`, NeoX `query_key_value`) computes several canonical modules at once,
so PEFT gives it one A and one B. Slicing B by output rows gives each part its own update under the same A. Putting
parts together stacks their As and places their Bs block by block; parts that share one A are joined without stacking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adaptrix_core.injection.lora import PointWeights

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import Part


def split(fused: PointWeights, parts: Mapping[str, Part]) -> dict[str, PointWeights]:
    """``fused`` (A ``(rank, d_in)``, B ``(d_out_real, rank)``) -> weights per canonical name.

    Parts, and inside a part rank components, whose slice of B is all zero add nothing and are left out; a block-stacked
    module so comes apart into exactly the blocks that were stacked. Untrained weights (B all zero) are kept whole.
    """
    d_out = fused.lora_b.shape[0]
    slices = {name: fused.lora_b[part.rows(d_out)] for name, part in parts.items()}
    trained = any(bool(b.any()) for b in slices.values())
    result: dict[str, PointWeights] = {}
    for name, b in slices.items():
        used = b.any(dim=0)
        if trained and not bool(used.any()):
            continue
        a = fused.lora_a
        if trained and len(parts) > 1 and not bool(used.all()):
            a, b = a[used], b[:, used]
        result[name] = PointWeights(a.contiguous(), b.contiguous(), fused.scaling)
    return result


def join(weights: Mapping[str, PointWeights], parts: Mapping[str, Part], d_out: int) -> PointWeights:
    """The inverse of `split`: weights of some parts of one real module -> its A, B ``(d_out, rank)`` and scaling.

    Parts with different scalings are folded into B in float32, and the joint scaling is 1.
    """
    scalings = {value.scaling for value in weights.values()}
    if len(scalings) > 1:
        weights = {name: _folded(value) for name, value in weights.items()}
    first = next(iter(weights.values()))
    shared = all(torch.equal(value.lora_a, first.lora_a) for value in weights.values())
    dtype = torch.promote_types(first.lora_a.dtype, first.lora_b.dtype)
    for value in weights.values():
        dtype = torch.promote_types(dtype, torch.promote_types(value.lora_a.dtype, value.lora_b.dtype))
    a = first.lora_a if shared else torch.cat([value.lora_a.to(dtype) for value in weights.values()])
    b = torch.zeros(d_out, a.shape[0], dtype=dtype)
    start = 0
    for name, value in weights.items():
        columns = slice(start, start + value.rank)
        _place(b, parts[name].rows(d_out), columns, value.lora_b.to(dtype))
        start += 0 if shared else value.rank
    return PointWeights(a.to(dtype).contiguous(), b, first.scaling if len(scalings) == 1 else 1.0)


def _place(b: Tensor, rows: Tensor, columns: slice, values: Tensor) -> None:
    block = b[:, columns]
    block[rows] = values


def _folded(value: PointWeights) -> PointWeights:
    return PointWeights(value.lora_a.float(), value.lora_b.float() * value.scaling, 1.0)
