"""Scores of two adapters' weights equal those of the whole update matrices, and mean what they say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from adaptrix_core.composition.conflicts.weight_conflict import DIRECTIONS, LARGEST, displacement, weight_conflict
from adaptrix_core.injection.lora import LoraWeights, PointWeights

POINT = (1, "self_attn.q_proj")
SECOND = (2, "mlp.up_proj")


def adapter(seed: int, rank: int = 12, points: tuple[tuple[int, str], ...] = (POINT, SECOND)) -> LoraWeights:
    random = torch.Generator().manual_seed(seed)
    return LoraWeights(
        {
            point: PointWeights(
                torch.randn(rank, 40, generator=random), torch.randn(56, rank, generator=random), 0.5 + number
            )
            for number, point in enumerate(points)
        }
    )


def whole(weights: PointWeights) -> torch.Tensor:
    return weights.scaling * weights.lora_b @ weights.lora_a


def test_all_scores_equal_those_of_whole_matrices() -> None:
    one, other = adapter(1), adapter(2, rank=20)
    found = weight_conflict(one, other)
    updates = [(whole(one.points[p]), whole(other.points[p])) for p in (POINT, SECOND)]
    flat = [torch.cat([pair[i].flatten() for pair in updates]) for i in (0, 1)]
    assert found.points == 2
    assert found.cosine == pytest.approx(float(torch.cosine_similarity(flat[0], flat[1], dim=0)), abs=1e-5)
    different, both, inside, outside = 0, 0, 0.0, 0.0
    for a, b in updates:
        large = [x.abs() >= x.abs().flatten().sort().values[-int(LARGEST * x.numel())] for x in (a, b)]
        different += int((large[0] & large[1] & (a * b < 0)).sum())
        both += int((large[0] & large[1]).sum())
        (u, _, v), (x, _, y) = torch.linalg.svd(a), torch.linalg.svd(b)
        inside += float((v[:DIRECTIONS] @ y[:DIRECTIONS].T).square().sum()) / DIRECTIONS / 2
        outside += float((u[:, :DIRECTIONS].T @ x[:, :DIRECTIONS]).square().sum()) / DIRECTIONS / 2
    assert found.sign_conflict == pytest.approx(different / both, abs=1e-6)
    assert found.input_overlap == pytest.approx(inside, abs=1e-4)
    assert found.output_overlap == pytest.approx(outside, abs=1e-4)


def test_an_adapter_agrees_with_itself_and_is_opposed_by_its_negative() -> None:
    one = adapter(3)
    negative = LoraWeights({p: PointWeights(w.lora_a, -w.lora_b, w.scaling) for p, w in one.points.items()})
    same, opposed = weight_conflict(one, one), weight_conflict(one, negative)
    assert [same.cosine, same.sign_conflict] == pytest.approx([1.0, 0.0])
    assert [opposed.cosine, opposed.sign_conflict] == pytest.approx([-1.0, 1.0])
    assert same.input_overlap == pytest.approx(1.0, abs=1e-4)
    assert opposed.output_overlap == pytest.approx(1.0, abs=1e-4)


def test_only_common_points_count_and_order_does_not() -> None:
    one, other = adapter(4), adapter(5, points=(POINT,))
    assert weight_conflict(one, other).points == 1
    assert weight_conflict(one, adapter(6, points=((3, "mlp.up_proj"),))).points == 0
    forward, backward = weight_conflict(one, other), weight_conflict(other, one)
    assert forward.to_json() == pytest.approx(backward.to_json(), abs=1e-6)


def test_an_update_of_nothing_conflicts_with_nothing() -> None:
    nothing = LoraWeights({POINT: PointWeights(torch.randn(4, 40), torch.zeros(56, 4), 1.0)})
    assert weight_conflict(nothing, adapter(7)).to_json() == {
        "points": 1, "cosine": 0.0, "sign_conflict": 0.0, "input_overlap": 0.0, "output_overlap": 0.0,
    }  # fmt: skip


def at(weight: float) -> Callable[[int], float]:
    return lambda layer: weight


def test_displacement_is_the_distance_of_the_mixed_updates() -> None:
    one, other = adapter(1), adapter(2, rank=20, points=(SECOND,))
    mix = [(one, at(0.7)), (other, at(0.3))]
    own = [whole(one.points[point]) for point in (POINT, SECOND)]
    moved = [0.3 * own[0], 0.3 * own[1] - 0.3 * whole(other.points[SECOND])]
    squares, length = (sum(float(update.square().sum()) for update in updates) for updates in (moved, own))
    assert displacement(one, mix) == pytest.approx((squares / length) ** 0.5, rel=1e-4)
    assert displacement(one, [(one, at(1.0))]) == pytest.approx(0.0, abs=1e-4)
    assert displacement(one, [(one, at(0.25))]) == pytest.approx(0.75, rel=1e-4)


def test_displacement_counts_each_layer_with_its_own_weight() -> None:
    one = adapter(1)
    (layer, _), (other, _) = POINT, SECOND
    by_layer = displacement(one, [(one, lambda at: 1.0 if at == layer else 0.0)])
    gone = whole(one.points[SECOND]).square().sum() if other != layer else torch.tensor(0.0)
    length = sum(float(whole(one.points[point]).square().sum()) for point in (POINT, SECOND))
    assert by_layer == pytest.approx(float(gone / length) ** 0.5, rel=1e-4)
