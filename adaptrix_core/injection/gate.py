"""Gates: how much each term of a mix counts for one token, decided by what the token is at that point.

A gate has one direction for each of its terms at each injection point, and compares a point's input with them:
``weights = softmax(scores / temperature) + offsets`` with ``scores = inputs @ directions.T``. Learned directions with
offsets are LoRA-Flow's gate (Wang et al., arXiv:2402.11455, eq. 4), for every module instead of once for a layer;
Arrow's (Ostapenko et al., arXiv:2405.11157) takes each adapter's own direction, the size of a score without its sign,
and the ``top_k`` largest. The factor of a term is its own weight times the gate's.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from adaptrix_core.digests import GateDigest, add_field
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import LEAST_TEMPERATURE, Term, gated_terms
from adaptrix_core.request_limits import MOST

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import Point

Named = TypeVar("Named")


@dataclass(frozen=True)
class PointGate:
    """A gate at one injection point."""

    directions: Tensor
    """``(terms, d_in)`` float32."""
    offsets: Tensor
    """Added to the weights, ``(terms,)`` float32."""
    acting: tuple[bool, ...]
    """Terms that are weighed here; the others have no weights at this point, and no share."""


@dataclass(frozen=True, eq=False)
class Gate:
    """Weights for the terms of one mix, token by token. Points that it does not have are not gated."""

    points: Mapping[Point, PointGate]
    num_terms: int
    is_unsigned: bool = False
    """Whether a score counts by its size alone."""
    top_k: int | None = None
    """Terms that get a share of a token, those of the largest scores, the first ones of equals; None for all."""
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.num_terms <= MOST.mix_terms:
            raise InvalidRequest(
                f"the gate weighs {self.num_terms} adapters; allowed: 1 to {MOST.mix_terms}", param="gate"
            )
        if self.top_k is not None and not 1 <= self.top_k <= self.num_terms:
            raise InvalidRequest(f"the gate's top_k is {self.top_k}; it weighs {self.num_terms} adapters", param="gate")
        if not LEAST_TEMPERATURE <= self.temperature < float("inf"):
            raise InvalidRequest(
                f"the gate's temperature is {self.temperature}; it must be at least {LEAST_TEMPERATURE:g}", param="gate"
            )
        for (layer, module), at in self.points.items():
            if len(at.directions) != self.num_terms or at.offsets.shape != (self.num_terms,):
                raise InvalidRequest(
                    f"the gate at layer {layer}, {module}, weighs {len(at.directions)} adapters, not {self.num_terms}",
                    param="gate",
                )
            if not (torch.isfinite(at.directions).all() and torch.isfinite(at.offsets).all()):
                raise InvalidRequest(
                    f"the gate at layer {layer}, {module}, has numbers that are not finite; train it again",
                    param="gate",
                )

    @cached_property
    def gate_digest(self) -> GateDigest:
        """SHA-256 over everything that the weights depend on, each field typed and length-prefixed."""
        total = hashlib.sha256(b"adaptrix-gate-v1")
        for (layer, module), at in sorted(self.points.items()):
            add_field(total, f"{layer}.{module}".encode(), struct.pack(f">{self.num_terms}?", *at.acting))
            for tensor in (at.directions, at.offsets):
                add_field(total, f"{tuple(tensor.shape)}".encode(), tensor.float().contiguous().numpy().tobytes())
        rule = struct.pack(">I?id", self.num_terms, self.is_unsigned, self.top_k or 0, self.temperature)
        add_field(total, b"rule", rule)
        return GateDigest(total.hexdigest())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Gate) and self.gate_digest == other.gate_digest

    def __hash__(self) -> int:
        return hash(self.gate_digest)

    def weights_at(self, at: PointGate, inputs: Tensor) -> Tensor:
        """The weight of every term for every token, ``(tokens, terms)`` float32. inputs: ``(tokens, d_in)``.

        at: the gate's own point, on the device of ``inputs``. This is the reference of the kernels.
        """
        scores = inputs.float() @ at.directions.T
        if self.is_unsigned:
            scores = scores.abs()
        acting = torch.tensor(at.acting, device=inputs.device)
        scores = scores.masked_fill(~acting, float("-inf"))
        if self.top_k is not None and self.top_k < self.num_terms:
            order = scores.argsort(dim=-1, descending=True, stable=True)
            scores = scores.scatter(-1, order[:, self.top_k :], float("-inf"))
        below_largest = scores - scores.amax(-1, keepdim=True)  # so that no temperature makes the largest infinite
        return torch.softmax(below_largest / self.temperature, dim=-1) + at.offsets * acting


@dataclass(frozen=True)
class Gated:
    """The place of one term in a gate."""

    gate: Gate
    place: int


def gate_mix(terms: Iterable[Term[Named]], gate: Gate) -> tuple[Term[Named], ...]:
    """``terms`` under ``gate``, in the order of its directions. Raises InvalidRequest for another number of terms."""
    gated = tuple(Term(term.adapter, term.weight, term.layers, Gated(gate, place)) for place, term in enumerate(terms))
    gated_terms(gated)
    return gated
