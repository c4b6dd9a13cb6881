"""Merged adapters equal PEFT's, whose whole-matrix methods are the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from adaptrix_core.composition.conflicts.merging import Method, merged
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.lora import LoraWeights, PointWeights

RANK, WIDE, HIGH = 6, 24, 32
POINT = (0, "proj")
PEFTS = {"ties": "ties_svd", "dare_linear": "dare_linear_svd", "dare_ties": "dare_ties_svd", "linear": "svd"}


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(WIDE, HIGH, bias=False)


def adapters() -> list[LoraWeights]:
    random = torch.Generator().manual_seed(5)
    return [
        LoraWeights(
            {
                POINT: PointWeights(
                    torch.randn(RANK, WIDE, generator=random), torch.randn(HIGH, RANK, generator=random), s
                )
            }
        )
        for s in (0.5, 2.0)
    ]


def pefts_update(held: list[LoraWeights], weights: list[float], method: str, rank: int, density: float) -> torch.Tensor:
    """The update of PEFT's merged adapter."""
    names = [f"a{number}" for number in range(len(held))]
    model = None
    for name, adapter in zip(names, held, strict=True):
        alpha = adapter.points[POINT].scaling * RANK
        config = LoraConfig(r=RANK, lora_alpha=alpha, target_modules=["proj"])
        if model is None:
            model = get_peft_model(Small(), config, adapter_name=name)
        else:
            model.add_adapter(name, config)
    assert model is not None
    layer = model.base_model.model.proj
    for name, adapter in zip(names, held, strict=True):
        layer.lora_A[name].weight.data = adapter.points[POINT].lora_a.clone()
        layer.lora_B[name].weight.data = adapter.points[POINT].lora_b.clone()
    combine = model.base_model._svd_generalized_task_arithmetic_weighted_adapter

    def combine_with_our_randomness(*given: Any, **named: Any) -> Any:
        torch.manual_seed(0)  # PEFT draws the new adapter's first weights before
        return combine(*given, **named)

    model.base_model._svd_generalized_task_arithmetic_weighted_adapter = combine_with_our_randomness
    model.base_model.add_weighted_adapter(
        names, weights, "merged", combination_type=PEFTS[method], svd_rank=rank, density=density
    )
    update: torch.Tensor = layer.get_delta_weight("merged").detach()
    return update


@pytest.mark.parametrize("method", PEFTS)
@pytest.mark.parametrize("rank", [4, WIDE])
@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.7, -0.3]])
def test_a_merged_adapter_equals_pefts(method: Method, rank: int, weights: list[float]) -> None:
    ours = merged(adapters(), weights, method, rank, density=0.4, seed=0).points[POINT]
    theirs = pefts_update(adapters(), weights, method, rank, density=0.4)
    torch.testing.assert_close(ours.scaling * ours.lora_b @ ours.lora_a, theirs, atol=1e-4, rtol=1e-4)
    assert ours.rank == rank


def test_a_point_that_one_adapter_lacks_is_the_others_alone() -> None:
    one, other = adapters()
    elsewhere = LoraWeights({(3, "proj"): other.points[POINT]})
    both = merged([one, elsewhere], [1.0, 0.5], "linear", RANK)
    update = both.points[3, "proj"]
    alone = other.points[POINT]
    torch.testing.assert_close(update.lora_b @ update.lora_a, 0.5 * alone.scaling * alone.lora_b @ alone.lora_a)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"weights": [1.0]}, "a weight for each"),
        ({"method": "average"}, "method is 'average'"),
        ({"rank": 0}, "rank is 0"),
        ({"weights": [0.5, float("nan")]}, "weights are .* finite numbers"),
        ({"density": 0.0}, "density is 0.0"),
        ({"density": float("nan")}, "density is nan"),
    ],
)
def test_what_cannot_be_merged_is_refused_by_name(change: dict[str, object], said: str) -> None:
    asked = {"weights": [0.5, 0.5], "method": "ties", "rank": 4, "density": 0.2, **change}
    with pytest.raises(InvalidRequest, match=said):
        merged(adapters(), **asked)  # type: ignore[arg-type]
