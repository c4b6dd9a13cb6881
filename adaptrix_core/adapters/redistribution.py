"""Moves an adapter's updates to other layers, and measures the change of its predictions.

LoRA updates belong to the layer that they were trained in; moved, they are a guess. `redistribute` makes the guess,
`measure_cost` says by how much the model's predictions changed, so that nobody has to take the result on trust.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.injector import LayerInjector
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from adaptrix_core.injection.mix import Mix, Term

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModel, Point


@dataclass(frozen=True)
class RedistributionCost:
    """The change of predictions by moving an adapter to other layers, on given texts."""

    num_tokens: int
    """Predicted tokens, over all texts."""
    base_perplexity: float
    """Perplexity without any adapter, for comparison: that of an adapter without effect."""
    perplexity_before: float
    perplexity_after: float
    mean_kl_nats: float
    """Mean KL divergence per token from the original adapter's predictions to the moved one's."""
    top_token_agreement: float
    """Share of tokens for which both predict the same most likely token."""

    def to_json(self) -> dict[str, float]:
        """The fields as plain numbers, for metadata and `--json`."""
        return asdict(self)


def redistribute(weights: LoraWeights, to_layers: Sequence[int], base: BaseModel) -> LoraWeights:
    """Weights whose updates act in ``to_layers`` only.

    Every adapted layer goes to the nearest target (the lower one of two equally near); updates that meet in one target
    are added exactly, by stacking their ranks. Targets that no layer is nearest to get nothing.
    Raises InvalidRequest for no targets or one outside the model.
    """
    depth = base.info.num_layers
    targets = sorted(set(to_layers))
    outside = [layer for layer in targets if not 0 <= layer < depth]
    if not targets or outside:
        raise InvalidRequest(
            f"target layers {list(to_layers)}: give at least one, each from 0 to {depth - 1}", param="to_layers"
        )
    moved: defaultdict[Point, list[PointWeights]] = defaultdict(list)
    for (layer, module), value in sorted(weights.points.items()):
        target = min(targets, key=lambda candidate: (abs(candidate - layer), candidate))
        moved[target, module].append(value)
    return LoraWeights(
        {point: values[0] if len(values) == 1 else _stacked(values) for point, values in moved.items()},
        weights.invocation_tokens,
    )


def measure_cost(
    before: LoraWeights, after: LoraWeights, base: BaseModel, injector: LayerInjector, texts: Sequence[str]
) -> RedistributionCost:
    """Compare both on ``texts`` (each cut to the model's context). Raises InvalidRequest if none has two tokens."""
    sequences = [base.encode(text)[: base.info.context_length] for text in texts]
    sequences = [sequence for sequence in sequences if len(sequence) > 1]
    if not sequences:
        raise InvalidRequest("no text to measure the cost on: each needs at least two tokens", param="texts")
    mixes: tuple[Mix, Mix, Mix] = ((), (Term(before.weights_digest),), (Term(after.weights_digest),))
    resident = set(injector.get_active_adapters())
    for weights in (before, after):
        injector.inject_adapter(weights)
    losses, divergence, agreement = [0.0, 0.0, 0.0], 0.0, 0
    try:
        for sequence in sequences:
            tokens = torch.tensor([sequence], device=base.device)
            logs = [_log_probabilities(base, injector, tokens, mix) for mix in mixes]
            for index, log in enumerate(logs):
                losses[index] += float(cross_entropy(log, tokens[0, 1:], reduction="sum"))
            divergence += float(kl_div(logs[2], logs[1], log_target=True, reduction="sum"))
            agreement += int((logs[1].argmax(-1) == logs[2].argmax(-1)).sum())
    finally:
        for digest in {before.weights_digest, after.weights_digest} - resident:
            injector.remove_adapter(digest)
    count = sum(len(sequence) - 1 for sequence in sequences)
    perplexities = [math.exp(loss / count) for loss in losses]
    return RedistributionCost(
        num_tokens=count,
        base_perplexity=perplexities[0],
        perplexity_before=perplexities[1],
        perplexity_after=perplexities[2],
        mean_kl_nats=divergence / count,
        top_token_agreement=agreement / count,
    )


def _log_probabilities(base: BaseModel, injector: LayerInjector, tokens: Tensor, mix: Mix) -> Tensor:
    """``(1, tokens)`` -> log-probabilities of every next token, ``(tokens - 1, vocab)`` float32."""
    with torch.inference_mode(), injector.step([mix] * tokens.shape[1]):
        logits: Tensor = base.module(tokens, use_cache=False).logits
    return logits[0, :-1].float().log_softmax(-1)


def _stacked(values: Sequence[PointWeights]) -> PointWeights:
    """The sum of several updates as one: As stacked, Bs beside each other with their scalings folded in."""
    a = torch.cat([value.lora_a.float() for value in values])
    b = torch.cat([value.lora_b.float() * value.scaling for value in values], dim=1)
    return PointWeights(a, b, 1.0)
