"""Two runs of one prompt compared: how far states, attention and predictions under a mix are from the base model's.

Pure functions of what the runs computed; knows nothing of engines, names or thresholds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from adaptrix_core.engine.compute.inspected import QUERIES_AT_ONCE, InspectedRun
from adaptrix_core.errors import AdapterRejected, BaseModelError, InvalidRequest

PREDICTED_AT_ONCE = 64
"""Tokens whose next-token distributions are compared at once; with 256 000 words, each side takes 65 MB."""


def state_similarity(base: InspectedRun, mixed: InspectedRun) -> Tensor:
    """Cosine of the states that leave each layer, ``(layers, tokens)``; 1 where the mix changed no direction."""
    return F.cosine_similarity(base.states, mixed.states, dim=-1).clamp(-1.0, 1.0)


def attention_drift(base: InspectedRun, mixed: InspectedRun, layers: Sequence[int]) -> Tensor:
    """Share of each token's attention that lies on other tokens than in the base model, ``(layers, heads, tokens)``.

    It is the total variation distance of the two distributions: 0 where they are equal, 1 where they share no token.
    Raises InvalidRequest where the runs have kept no attention.
    """
    if not base.attention:
        raise InvalidRequest(
            "this family's layers do not attend through transformers' attention interface, so their attention cannot "
            "be compared; compare without attention",
            param="attention",
        )
    length = len(base.token_ids)
    rows = []
    for layer in layers:
        one, other = base.attention[layer], mixed.attention[layer]
        parts = [
            (one.weights(start, stop) - other.weights(start, stop)).abs().sum(-1) / 2
            for start in range(0, length, QUERIES_AT_ONCE)
            for stop in [min(start + QUERIES_AT_ONCE, length)]
        ]
        rows.append(torch.cat(parts, 1))
    return torch.stack(rows)


def prediction_drift(
    base: InspectedRun, mixed: InspectedRun, head: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """How predictions of the next token differ: divergence in nats, and whether the likeliest token is the same.

    Both ``(tokens,)``. The divergence is Kullback and Leibler's of the mix from the base: what it costs, in nats per
    token, to expect the mix's distribution where the base's is true. head: the base model's, states to logits.
    """
    divergence, agreement = [], []
    for one, other in zip(
        base.states[-1].split(PREDICTED_AT_ONCE), mixed.states[-1].split(PREDICTED_AT_ONCE), strict=True
    ):
        expected, actual = head(one).float().log_softmax(-1), head(other).float().log_softmax(-1)
        divergence.append((expected.exp() * (expected - actual)).sum(-1).clamp(min=0.0).cpu())
        agreement.append((expected.argmax(-1) == actual.argmax(-1)).cpu())
    return torch.cat(divergence), torch.cat(agreement)


def state_conflict(base: InspectedRun, one: InspectedRun, other: InspectedRun) -> Tensor:
    """How much two adapters, each run alone, pull states apart, by layer, ``(layers,)``.

    It is ``(1 - c) / 2`` with the mean cosine ``c`` of the changes that the two make to a token's state: 0 where they
    change it alike, 0.5 where their changes have nothing in common, 1 where one undoes the other. NaN in layers that
    one of them leaves as they are.
    """
    first, second = one.states - base.states, other.states - base.states
    smallest = 1e-6 * base.states.norm(dim=-1)
    changed = (first.norm(dim=-1) > smallest) & (second.norm(dim=-1) > smallest)
    cosine = F.cosine_similarity(first, second, dim=-1).masked_fill(~changed, float("nan"))
    return (1 - cosine.nanmean(-1)) / 2


def check_finite(run: InspectedRun, mix: str | None) -> None:
    """Raise unless all states are numbers: AdapterRejected for a mix, BaseModelError where mix is None."""
    finite = run.states.isfinite().all(-1)
    if finite.all():
        return
    layer, token = (int(place) for place in (~finite).nonzero()[0])
    where = f"the states that leave layer {layer} are not finite at token {token}"
    if mix is None:
        raise BaseModelError(f"{where}, in the base model itself; load it in another precision")
    raise AdapterRejected(
        f"{where}, under {mix}; its adapter is broken, or its weight too large", code="output_not_finite"
    )
