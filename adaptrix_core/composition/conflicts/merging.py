"""Merged adapters: several updates made into one, by TIES (arXiv:2306.01708), DARE (arXiv:2311.03099) or as a sum.

Works on whole updates, one point at a time, and cuts the result back to a rank by SVD; never on the factors, whose
products are what counts. Equal to PEFT's ``add_weighted_adapter`` with ``ties_svd``, ``dare_linear_svd``,
``dare_ties_svd`` and ``svd``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.lora import LoraWeights, PointWeights

Method = Literal["ties", "dare_linear", "dare_ties", "linear"]
METHODS: tuple[str, ...] = get_args(Method)


def merged(
    adapters: Sequence[LoraWeights],
    weights: Sequence[float],
    method: Method,
    rank: int,
    density: float = 0.2,
    seed: int = 0,
) -> LoraWeights:
    """One adapter with the updates of several; an adapter counts nothing at points that it lacks.

    rank: of the result, the most that a point gets. density: share of entries that are kept, above 0 and at most 1,
    the largest by ``ties`` and random ones by ``dare_*``; ``linear`` keeps all. seed: of the random ones. Raises
    InvalidRequest for fewer than two adapters, other than one weight for each, activated adapters, or a bad number.
    """
    _check(adapters, weights, method, rank, density)
    generator = torch.Generator().manual_seed(seed)
    points = {}
    for point in sorted({point for adapter in adapters for point in adapter.points}):
        held = [(a.points[point], weight) for a, weight in zip(adapters, weights, strict=True) if point in a.points]
        updates = [_update(part) for part, _ in held]
        factors = torch.tensor([weight for _, weight in held])
        points[point] = _of_rank(_combined(updates, factors, method, density, generator), rank)
    return LoraWeights(points)


def _check(adapters: Sequence[LoraWeights], weights: Sequence[float], method: str, rank: int, density: float) -> None:
    if len(adapters) < 2 or len(adapters) != len(weights):
        raise InvalidRequest(
            f"{len(adapters)} adapters and {len(weights)} weights; give two or more, a weight for each"
        )
    if not all(map(math.isfinite, weights)):
        raise InvalidRequest(f"weights are {[*weights]!r:.80}; they must be finite numbers", param="weights")
    if method not in METHODS:
        raise InvalidRequest(f"method is {method!r:.60}; there are {', '.join(METHODS)}", param="method")
    if rank < 1:
        raise InvalidRequest(f"rank is {rank}; it must be at least 1", param="rank")
    if not 0 < density <= 1:
        raise InvalidRequest(f"density is {density}; it must be above 0 and at most 1", param="density")
    if any(adapter.invocation_tokens is not None for adapter in adapters):
        raise InvalidRequest("an activated adapter acts from certain tokens on, so it cannot be merged with others")


def _update(weights: PointWeights) -> Tensor:
    return weights.scaling * (weights.lora_b.float() @ weights.lora_a.float())


def _combined(
    updates: Sequence[Tensor], weights: Tensor, method: Method, density: float, generator: torch.Generator
) -> Tensor:
    if method != "linear" and density < 1:
        if method == "ties":
            updates = [_largest(update, density) for update in updates]
        else:
            updates = [_random(update, density, generator) for update in updates]
    stacked = torch.stack(list(updates))
    weighted = stacked * weights.view(-1, 1, 1)
    if method in ("linear", "dare_linear"):
        return weighted.sum(dim=0)
    # Every entry keeps the sign that has more magnitude behind it, and is the mean of the updates of that sign.
    elected = torch.where(stacked.sum(dim=0) >= 0, 1, -1)
    agreeing = stacked.sign() == elected
    return (weighted * agreeing).sum(dim=0) / agreeing.sum(dim=0).clamp(min=1)


def _largest(update: Tensor, density: float) -> Tensor:
    kept = torch.zeros(update.numel())
    kept[update.abs().flatten().topk(int(density * update.numel())).indices] = 1
    return update * kept.view_as(update)


def _random(update: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """Random entries, made larger so that the sum stays the same in expectation."""
    return update * torch.bernoulli(torch.full_like(update, density), generator=generator) / density


def _of_rank(update: Tensor, rank: int) -> PointWeights:
    left, values, right = torch.linalg.svd(update, full_matrices=False)
    return PointWeights(right[:rank].contiguous(), (left[:, :rank] * values[:rank]).contiguous(), 1.0)
