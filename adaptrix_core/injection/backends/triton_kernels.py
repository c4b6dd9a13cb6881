"""Triton kernels for the LoRA sum over tokens grouped by mix: shrink (`A x`) and expand (`+= B (A x)`).

The segmented product of Punica (Chen et al., arXiv:2310.18547) and S-LoRA (Sheng et al., arXiv:2311.03285), with two
differences. Segments are mixes instead of adapters: a program of `_expand` owns its tokens' outputs and sums all of
their terms itself. And adapters are found through a table of addresses, so each keeps its true rank and is in memory
only for the points that it adapts; programs whose adapter has no weights at the point end at once.

Needs triton, which comes with CUDA builds of torch; runs without a GPU under ``TRITON_INTERPRET=1``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from adaptrix_core.injection.backends.token_groups import TILE

MIN_RANK_BLOCK = 16
"""Smallest rank that the kernels compute with, the least inner dimension of a tensor core; lower ranks are masked."""
MAX_RANK_BLOCK = 64


@dataclass(frozen=True)
class StepTensors:
    """`TokenGroups` on the device."""

    order: Tensor
    tiles: Tensor
    slots: Tensor
    factors: Tensor


@dataclass(frozen=True)
class SlotTable:
    """Addresses of each slot's weights, on the device."""

    records: Tensor
    """(address of ``A`` ``(rank, d_in)``, address of ``B`` transposed ``(rank, d_out)``, rank), ``(slots, points, 3)``
    int64. Addresses are multiples of 16; the rank is 0 where the adapter has no weights."""
    scalings: Tensor
    """``(slots, points)`` float32."""


def add_lora(
    output: Tensor, inputs: Tensor, step: StepTensors, layer: int, table: SlotTable, point: int, max_rank: int
) -> None:
    """Add every token's updates to ``output`` in place.

    output: ``(tokens, d_out)`` or ``(tokens, heads, head_dim)``, the last dimension contiguous; inputs: ``(tokens,
    d_in)``. Both have the number format of the weights. point: its place in ``table``. max_rank: largest rank of any
    slot.
    """
    num_tiles, num_terms = len(step.tiles), step.slots.shape[1]
    if num_tiles == 0:
        return
    assert output.stride(-1) == 1
    assert inputs.stride(-1) == 1
    d_in, d_out = inputs.shape[1], output[0].numel()
    rank_block = min(MAX_RANK_BLOCK, max(MIN_RANK_BLOCK, triton.next_power_of_2(max_rank)))
    rank_blocks = triton.cdiv(max_rank, rank_block)
    shrunk = torch.empty(
        (len(step.order), num_terms, rank_blocks * rank_block), dtype=inputs.dtype, device=inputs.device
    )
    num_points, factors = table.records.shape[1], step.factors[layer]
    _shrink[num_tiles, num_terms, rank_blocks](
        inputs, inputs.stride(0), d_in, shrunk, shrunk.stride(0), shrunk.stride(1),
        step.order, step.tiles, step.slots, factors, num_terms, table.records, num_points, point,
        TILE=TILE, RANK_BLOCK=rank_block, BLOCK=64,
    )  # fmt: skip
    block = 64
    _expand[num_tiles, triton.cdiv(d_out, block)](
        output, output.stride(0), output.stride(1) if output.dim() == 3 else 0, output.shape[-1], d_out,
        shrunk, shrunk.stride(0), shrunk.stride(1),
        step.order, step.tiles, step.slots, factors, num_terms, table.records, table.scalings, num_points, point,
        TILE=TILE, RANK_BLOCK=rank_block, BLOCK=block,
    )  # fmt: skip


# "point" and the counts would otherwise make a new kernel whenever one is 1 or a multiple of 16.
_COUNTS = ["num_terms", "num_points", "point"]


@triton.jit(do_not_specialize=_COUNTS)  # type: ignore[untyped-decorator]
def _shrink(
    inputs: tl.tensor, input_row: tl.tensor, d_in: tl.tensor,
    shrunk: tl.tensor, shrunk_row: tl.tensor, shrunk_term: tl.tensor,
    order: tl.tensor, tiles: tl.tensor, slots: tl.tensor, factors: tl.tensor, num_terms: tl.tensor,
    records: tl.tensor, num_points: tl.tensor, point: tl.tensor,
    TILE: tl.constexpr, RANK_BLOCK: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """``shrunk[place, term] = A x`` for one tile, one term and one block of its ranks."""
    tile, term, ranks = tl.program_id(0), tl.program_id(1), tl.program_id(2) * RANK_BLOCK
    start, count = tl.load(tiles + tile * 3), tl.load(tiles + tile * 3 + 1)
    entry = tl.load(tiles + tile * 3 + 2) * num_terms + term
    record = records + (tl.load(slots + entry).to(tl.int64) * num_points + point) * 3
    rank = tl.load(record + 2).to(tl.int32)
    if (tl.load(factors + entry) == 0.0) | (ranks >= rank):
        return
    lora_a = tl.multiple_of(tl.load(record).to(tl.pointer_type(inputs.dtype.element_ty)), 16)
    in_tile = tl.arange(0, TILE)
    tokens = tl.load(order + start + in_tile, mask=in_tile < count, other=0).to(tl.int64)
    r, k = ranks + tl.arange(0, RANK_BLOCK), tl.arange(0, BLOCK)
    total = tl.zeros((TILE, RANK_BLOCK), dtype=tl.float32)
    for first in range(0, d_in, BLOCK):
        inside = first + k < d_in
        x = tl.load(
            inputs + tokens[:, None] * input_row + first + k[None, :],
            mask=(in_tile < count)[:, None] & inside[None, :], other=0.0,
        )  # fmt: skip
        a = tl.load(
            lora_a + r[None, :] * d_in + first + k[:, None], mask=(r < rank)[None, :] & inside[:, None], other=0.0
        )
        total = tl.dot(x, a, total, input_precision="ieee")
    tl.store(
        shrunk + (start + in_tile)[:, None] * shrunk_row + term * shrunk_term + r[None, :],
        total.to(shrunk.dtype.element_ty), mask=(in_tile < count)[:, None],
    )  # fmt: skip


@triton.jit(do_not_specialize=_COUNTS)  # type: ignore[untyped-decorator]
def _expand(
    output: tl.tensor, output_row: tl.tensor, head_stride: tl.tensor, head_dim: tl.tensor, d_out: tl.tensor,
    shrunk: tl.tensor, shrunk_row: tl.tensor, shrunk_term: tl.tensor,
    order: tl.tensor, tiles: tl.tensor, slots: tl.tensor, factors: tl.tensor, num_terms: tl.tensor,
    records: tl.tensor, scalings: tl.tensor, num_points: tl.tensor, point: tl.tensor,
    TILE: tl.constexpr, RANK_BLOCK: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    """``output += sum over terms of factor * scaling * B shrunk`` for one tile and one block of outputs."""
    tile, outputs = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    start, count = tl.load(tiles + tile * 3), tl.load(tiles + tile * 3 + 1)
    group = tl.load(tiles + tile * 3 + 2)
    in_tile = tl.arange(0, TILE)
    total = tl.zeros((TILE, BLOCK), dtype=tl.float32)
    for term in range(num_terms):
        slot = tl.load(slots + group * num_terms + term).to(tl.int64)
        factor = tl.load(factors + group * num_terms + term)
        record = records + (slot * num_points + point) * 3
        rank = tl.load(record + 2).to(tl.int32)
        if factor != 0.0:
            lora_b = tl.multiple_of(tl.load(record + 1).to(tl.pointer_type(output.dtype.element_ty)), 16)
            factor *= tl.load(scalings + slot * num_points + point)
            for first in range(0, rank, RANK_BLOCK):
                r = first + tl.arange(0, RANK_BLOCK)
                x = tl.load(
                    shrunk + (start + in_tile)[:, None] * shrunk_row + term * shrunk_term + r[None, :],
                    mask=(in_tile < count)[:, None] & (r < rank)[None, :], other=0.0,
                )  # fmt: skip
                b = tl.load(
                    lora_b + r[:, None] * d_out + outputs[None, :],
                    mask=(r < rank)[:, None] & (outputs < d_out)[None, :], other=0.0,
                )  # fmt: skip
                total += factor * tl.dot(x, b, input_precision="ieee")
    tokens = tl.load(order + start + in_tile, mask=in_tile < count, other=0).to(tl.int64)
    columns = outputs // head_dim * head_stride + outputs % head_dim
    places = output + tokens[:, None] * output_row + columns[None, :]
    mask = (in_tile < count)[:, None] & (outputs < d_out)[None, :]
    tl.store(places, (tl.load(places, mask=mask, other=0.0) + total).to(output.dtype.element_ty), mask=mask)
