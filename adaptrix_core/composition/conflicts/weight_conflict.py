"""How alike and how contrary the weights of two adapters are, from their factors: no whole update matrix is made.

These scores say where updates meet. They do not say whether answers suffer: on the shipped adapters, whose updates are
nearly orthogonal, a mix breaks both (docs/composition.md). How far a mix is from each does say it (`expected_loss.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from adaptrix_core.base.families.parts import Point
from adaptrix_core.injection.lora import LoraWeights, PointWeights

DIRECTIONS = 8
"""Largest singular directions of an update that are compared; fewer where the rank is lower."""
LARGEST = 0.2
"""Share of an update's entries, by magnitude, whose signs are compared: as many as TIES keeps (arXiv:2306.01708)."""
SIGN_ROWS = 128
"""Rows of an update matrix, evenly spaced, that stand for all of it where signs are compared."""

WeightAt = Callable[[int], float]
"""The weight of an adapter in a mix, by layer."""


@dataclass(frozen=True)
class WeightConflict:
    """Two adapters compared at the points that both have. All NaN-free: without a common point, all are 0."""

    points: int
    """Points that both adapt."""
    cosine: float
    """Cosine of the updates, over all common points as one vector: -1 to 1, 0 for unrelated ones."""
    sign_conflict: float
    """Of the entries that are large in both updates, the share with different signs: 0 to 1, 0.5 by chance."""
    input_overlap: float
    """Share of the first update's main input directions that lie in the second's, mean over points: 0 to 1, by chance
    `DIRECTIONS` divided by the width of the input (Hu et al., arXiv:2106.09685, eq. 4)."""
    output_overlap: float
    """The same of the directions in which they change the output."""

    def to_json(self) -> dict[str, float]:
        """The fields as plain numbers."""
        return asdict(self)


def weight_conflict(one: LoraWeights, other: LoraWeights) -> WeightConflict:
    """Compare two adapters of one base model; symmetric. Costs milliseconds a point, in float32."""
    pairs = list(_common(one, other))
    if not pairs:
        return WeightConflict(0, 0.0, 0.0, 0.0, 0.0)
    inner = sum(_inner(a, b) for a, b in pairs)
    norms = math.sqrt(sum(_inner(a, a) for a, _ in pairs) * sum(_inner(b, b) for _, b in pairs))
    different, both = (sum(counts) for counts in zip(*(_signs(a, b) for a, b in pairs), strict=True))
    overlaps = [_overlaps(a, b) for a, b in pairs]
    return WeightConflict(
        len(pairs),
        inner / norms if norms else 0.0,
        different / both if both else 0.0,
        sum(inside for inside, _ in overlaps) / len(pairs),
        sum(outside for _, outside in overlaps) / len(pairs),
    )


def displacement(own: LoraWeights, mix: Sequence[tuple[LoraWeights, WeightAt]]) -> float:
    """How far the update of a mix is from that of one of its adapters alone, in lengths of the latter.

    ``|sum(weight_i * U_i) - U| / |U|`` over all points, by Frobenius' norm: 0 where the mix is the adapter alone. It
    knows the mix's weights, as the scores of a pair do not. 0 for an adapter that changes nothing.
    """
    alone = (own, lambda layer: -1.0)
    length = _product(alone, alone)
    squares = sum(_product(one, other) for one in (*mix, alone) for other in (*mix, alone))
    return math.sqrt(max(0.0, squares) / length) if length else 0.0


def _product(one: tuple[LoraWeights, WeightAt], other: tuple[LoraWeights, WeightAt]) -> float:
    """Inner product of two terms' updates, each as one vector over all points."""
    weights = [one[1](layer) * other[1](layer) for layer, _ in _points(one[0], other[0])]
    pairs = zip(weights, _common(one[0], other[0]), strict=True)
    return sum(weight * _inner(a, b) for weight, (a, b) in pairs)


def _points(one: LoraWeights, other: LoraWeights) -> list[Point]:
    return sorted(one.points.keys() & other.points.keys())


def _common(one: LoraWeights, other: LoraWeights) -> Iterator[tuple[PointWeights, PointWeights]]:
    for point in _points(one, other):
        yield tuple(weights.points[point].to(torch.device("cpu"), torch.float32) for weights in (one, other))  # type: ignore[misc]


def _inner(one: PointWeights, other: PointWeights) -> float:
    """Sum of the products of all entries of two updates: tr((B A)ᵀ (B' A')) = sum((Bᵀ B') * (A A'ᵀ))."""
    product = (one.lora_b.T @ other.lora_b) * (one.lora_a @ other.lora_a.T)
    return one.scaling * other.scaling * float(product.sum())


def _signs(one: PointWeights, other: PointWeights) -> tuple[int, int]:
    """Entries that are large in both updates: those with different signs, and all of them."""
    count = one.lora_b.shape[0]
    rows = torch.linspace(0, count - 1, min(SIGN_ROWS, count)).long()
    first, second = ((w.scaling * w.lora_b[rows]) @ w.lora_a for w in (one, other))
    large = _large(first) & _large(second)
    return int(((first * second < 0) & large).sum()), int(large.sum())


def _large(update: Tensor) -> Tensor:
    magnitudes = update.abs()
    kept = max(1, int(LARGEST * magnitudes.numel()))
    least = magnitudes.flatten().kthvalue(magnitudes.numel() - kept + 1).values
    return (magnitudes >= least) & (magnitudes > 0)


def _overlaps(one: PointWeights, other: PointWeights) -> tuple[float, float]:
    """Squared cosines between the main directions of both updates, mean: of the input, of the output."""
    (in_one, out_one), (in_other, out_other) = _directions(one), _directions(other)
    return _overlap(in_one, in_other), _overlap(out_one, out_other)


def _overlap(one: Tensor, other: Tensor) -> float:
    fewest = min(one.shape[1], other.shape[1])
    return float((one.T @ other).square().sum()) / fewest if fewest else 0.0


def _directions(weights: PointWeights) -> tuple[Tensor, Tensor]:
    """The main singular directions of ``B A`` from QR of both factors: ``(d_in, k)`` and ``(d_out, k)``."""
    q_in, r_in = torch.linalg.qr(weights.lora_a.T)
    q_out, r_out = torch.linalg.qr(weights.lora_b)
    left, values, right = torch.linalg.svd(r_out @ r_in.T)
    # Directions without effect are no directions: an adapter of lower rank than its factors has some.
    kept = int((values[:DIRECTIONS] > 1e-6 * values[0]).sum()) if float(values[0]) > 0 else 0
    return q_in @ right.T[:, :kept], q_out @ left[:, :kept]
