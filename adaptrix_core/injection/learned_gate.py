"""Learned gates: a gate with the adapters that it was trained over, named by their weights digests.

Its rows are in the order of the digests, so that it means the same in whatever order a mix names the adapters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.gate import Gate, PointGate

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import Point


@dataclass(frozen=True)
class LearnedGate:
    """A gate bound to its adapters."""

    weights_digests: tuple[WeightsDigest, ...]
    """The adapters that it weighs, in the order of its directions: sorted."""
    gate: Gate

    def check_fits(self, weights_digest: WeightsDigest, points: Iterable[Point]) -> None:
        """Raise AdapterRejected (bad_gate) unless it weighs one of its adapters exactly where that has weights.

        points: the adapter's injection points. At one that is not weighed it would act with its whole weight.
        """
        place = self.weights_digests.index(weights_digest)
        weighed = {point for point, at in self.gate.points.items() if at.acting[place]}
        if differing := sorted(weighed ^ set(points)):
            layer, module = differing[0]
            raise AdapterRejected(
                f"a learned gate and its adapter of weights {weights_digest[:16]} have different injection points, "
                f"such as layer {layer}, {module}; train the gate again over this adapter",
                code="bad_gate",
            )


def bound(gate: Gate, weights_digests: Sequence[WeightsDigest]) -> LearnedGate:
    """A gate over adapters that were given in this order, as `train_gate` makes it."""
    order = sorted(range(len(weights_digests)), key=weights_digests.__getitem__)
    rows = torch.tensor(order)
    points = {
        point: PointGate(at.directions[rows].contiguous(), at.offsets[rows], tuple(at.acting[place] for place in order))
        for point, at in gate.points.items()
    }
    ordered = Gate(points, gate.num_terms, gate.is_unsigned, gate.top_k, gate.temperature)
    return LearnedGate(tuple(weights_digests[place] for place in order), ordered)
