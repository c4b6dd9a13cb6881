"""LoRA weights, and the LoRA sum over a packed batch.

`y = Wx + sum_t weight_t * scaling_t * B_t (A_t x)` (Hu et al., arXiv:2106.09685, eq. 3, with one factor per term and
token). `apply_terms` is the plain reference; it does work only for tokens that have an adapter at the point. Nothing
here knows of models, hooks or slots.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from adaptrix_core.digests import WeightsDigest, add_field

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import Point


@dataclass(frozen=True)
class PointWeights:
    """One adapter's weights at one injection point."""

    lora_a: Tensor
    """``(rank, d_in)``"""
    lora_b: Tensor
    """``(d_out, rank)``"""
    scaling: float
    """``alpha / rank``, or ``alpha / sqrt(rank)`` for rsLoRA (Kalajdzievski, arXiv:2312.03732)."""

    @property
    def rank(self) -> int:
        """Inner dimension of the update."""
        return int(self.lora_a.shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes of both tensors."""
        return self.lora_a.nbytes + self.lora_b.nbytes

    def to(self, device: torch.device, dtype: torch.dtype) -> PointWeights:
        """The same weights elsewhere or in another precision."""
        return PointWeights(self.lora_a.to(device, dtype), self.lora_b.to(device, dtype), self.scaling)


@dataclass(frozen=True)
class LoraWeights:
    """An adapter's weights: what the engine needs of it, without name or provenance."""

    points: Mapping[Point, PointWeights]
    invocation_tokens: tuple[int, ...] | None = None
    """Token ids after which an activated LoRA switches on (aLoRA, arXiv:2504.12397); None for an ordinary one."""

    @cached_property
    def weights_digest(self) -> WeightsDigest:
        """SHA-256 over sorted points, tensors, scalings and invocation tokens, each typed and length-prefixed."""
        total = hashlib.sha256(b"adaptrix-lora-v1")
        for (layer, module), weights in sorted(self.points.items()):
            add_field(total, b"point", f"{layer}.{module}".encode())
            for tag, tensor in ((b"lora_a", weights.lora_a), (b"lora_b", weights.lora_b)):
                add_field(total, tag + b":header", f"{tensor.dtype}{tuple(tensor.shape)}".encode())
                add_field(total, tag, tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
            add_field(total, b"scaling", struct.pack(">d", weights.scaling))
        if self.invocation_tokens is not None:
            add_field(total, b"invocation", struct.pack(f">{len(self.invocation_tokens)}q", *self.invocation_tokens))
        return WeightsDigest(total.hexdigest())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(weights.nbytes for weights in self.points.values())

    @property
    def layers(self) -> tuple[int, ...]:
        """Adapted layers, ascending."""
        return tuple(sorted({layer for layer, _ in self.points}))

    @property
    def max_rank(self) -> int:
        """Largest rank of any point."""
        return max((weights.rank for weights in self.points.values()), default=0)


@dataclass(frozen=True)
class TermTokens:
    """The tokens of a step that one adapter applies to at one layer."""

    weights_digest: WeightsDigest
    rows: Tensor | None
    """Indices of those tokens, ``(n,)`` int64; None for all tokens of the step."""
    weights: Tensor
    """Factor of each of those tokens, ``(n, 1)``."""


def apply_terms(
    output: Tensor, inputs: Tensor, terms: Sequence[TermTokens], bank: Mapping[WeightsDigest, PointWeights]
) -> None:
    """Add every term's update to ``output`` in place; terms whose adapter has no weights here cost nothing.

    output: ``(tokens, d_out)`` or ``(tokens, heads, head_dim)``; inputs: ``(tokens, d_in)``.
    """
    for term in terms:
        weights = bank.get(term.weights_digest)
        if weights is None:
            continue
        chosen = inputs if term.rows is None else inputs.index_select(0, term.rows)
        delta = (chosen @ weights.lora_a.T) @ weights.lora_b.T
        delta = (delta * (term.weights * weights.scaling)).view(-1, *output.shape[1:])
        if term.rows is None:
            output.add_(delta)
        else:
            output.index_add_(0, term.rows, delta)
