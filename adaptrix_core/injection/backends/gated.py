"""Terms under gates, in plain torch: the weights of each token at a point, and the updates with them.

The native kernels weigh tokens themselves (`native.py`). Elsewhere a step with gates takes this way for the tokens
under them, which no CUDA graph captures; tokens without gates go as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from adaptrix_core.base.families.parts import Point
from adaptrix_core.base.model import BaseModel
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.gate import Gate, PointGate
from adaptrix_core.injection.lora import PointWeights, TermTokens, apply_terms
from adaptrix_core.injection.mix import Mix, Term, gated_terms


@dataclass(frozen=True)
class _GatedTokens:
    """The tokens of a step that are under one gate with the same terms."""

    gate: Gate
    terms: tuple[Term[WeightsDigest], ...]
    """By the places of the gate."""
    rows: Tensor
    """Indices of those tokens, ``(n,)`` int64."""


class GatedSteps:
    """The gates of one step after the other."""

    def __init__(self, base: BaseModel) -> None:
        self._base = base
        self._groups: list[_GatedTokens] = []
        self._placed: WeakKeyDictionary[Gate, dict[Point, PointGate]] = WeakKeyDictionary()
        """Gates with their tensors on the device."""

    @property
    def is_empty(self) -> bool:
        """Whether no token of the step is under a gate."""
        return not self._groups

    def begin(self, mixes: Sequence[Mix]) -> list[Mix]:
        """Take the gated terms of a step, whose token ``i`` is under ``mixes[i]``; gives the mixes without them."""
        self._groups = []
        each = {id(mix): mix for mix in mixes}.values()  # a row's tokens share one object; hashing each would cost
        gated = {mix: groups for mix in each if (groups := gated_terms(mix))}
        if not gated:
            return list(mixes)
        rows: dict[tuple[Gate, tuple[Term[WeightsDigest], ...]], list[int]] = {}
        for index, mix in enumerate(mixes):
            for group in gated.get(mix, {}).items():
                rows.setdefault(group, []).append(index)
        self._groups = [
            _GatedTokens(gate, terms, torch.tensor(at, dtype=torch.long, device=self._base.device))
            for (gate, terms), at in rows.items()
        ]
        return [tuple(term for term in mix if term.gated is None) for mix in mixes]

    def end(self) -> None:
        """No token is under a gate until the next `begin`."""
        self._groups = []

    def apply(self, point: Point, output: Tensor, inputs: Tensor, bank: Mapping[WeightsDigest, PointWeights]) -> None:
        """Add the step's gated updates at ``point`` to ``output`` in place; shapes as for `apply_terms`."""
        for group in self._groups:
            terms = [(place, term) for place, term in enumerate(group.terms) if term.adapter in bank]
            if not terms:
                continue
            at = self._at(group.gate, point)
            chosen = inputs.index_select(0, group.rows)
            weights = (
                torch.ones(len(chosen), len(group.terms), device=inputs.device)
                if at is None
                else group.gate.weights_at(at, chosen)
            ).to(inputs.dtype)
            factors = [
                TermTokens(term.adapter, group.rows, weights[:, place, None] * factor)
                for place, term in terms
                if (factor := term.weight_at(point[0])) != 0.0
            ]
            apply_terms(output, inputs, factors, bank)

    def _at(self, gate: Gate, point: Point) -> PointGate | None:
        if point not in gate.points:
            return None
        placed = self._placed.setdefault(gate, {})
        if point not in placed:
            at, device = gate.points[point], self._base.device
            placed[point] = PointGate(at.directions.to(device), at.offsets.to(device), at.acting)
        return placed[point]
