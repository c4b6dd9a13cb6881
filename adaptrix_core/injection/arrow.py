"""Arrow: a gate made of the adapters themselves, without training (Ostapenko et al., arXiv:2405.11157, section 3.2).

An adapter's direction at a point is the top right-singular vector of its update ``B A``: the input on which it acts
most. A token's share goes to the adapters on whose directions its input is longest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import torch
from cachetools import LRUCache
from torch import Tensor

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.gate import Gate, PointGate
from adaptrix_core.injection.lora import LoraWeights, PointWeights

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import Point

Directions = Mapping["Point", Tensor]
"""An adapter's direction at each of its points, ``(d_in,)``."""

_KNOWN_ADAPTERS = 256
"""Adapters whose directions are kept: some 50 KB each for a base of 135 million parameters."""
_known: LRUCache[WeightsDigest, Directions] = LRUCache(_KNOWN_ADAPTERS)
_lock = Lock()


def arrow_gate(adapters: Sequence[LoraWeights], top_k: int | None = None, temperature: float = 1.0) -> Gate:
    """The gate over ``adapters``, in their order. top_k: see `Gate`; None for all.

    At a point that an adapter does not adapt it has no share. Raises InvalidRequest for fewer than two adapters.
    """
    if len(adapters) < 2:
        raise InvalidRequest(f"a gate over {len(adapters)} adapter(s) decides nothing; name at least two", param="gate")
    if any(weights.invocation_tokens is not None for weights in adapters):
        raise InvalidRequest("an activated LoRA has no place in a gate; name ordinary adapters", param="gate")
    each = [_directions_of(weights) for weights in adapters]
    points = sorted({point for own in each for point in own})
    return Gate(
        {point: _point_gate([own.get(point) for own in each]) for point in points},
        len(adapters),
        is_unsigned=True,
        top_k=top_k,
        temperature=temperature,
    )


def top_input_direction(weights: PointWeights) -> Tensor:
    """The top right-singular vector of ``B A``, ``(d_in,)`` float32, length 1, without making the product.

    With ``A.T = Q R`` the product is ``(B R.T) Q.T``, whose right-singular vectors are those of the small ``B R.T``,
    turned by ``Q``. Its sign is arbitrary, and fixed here: the largest entry is positive.
    """
    q, r = torch.linalg.qr(weights.lora_a.float().cpu().T)
    _, _, rows = torch.linalg.svd(weights.lora_b.float().cpu() @ r.T, full_matrices=False)
    direction: Tensor = q @ rows[0]
    return direction if direction[direction.abs().argmax()] > 0 else -direction


def _directions_of(weights: LoraWeights) -> Directions:
    with _lock:
        known = _known.get(weights.weights_digest)
    if known is None:
        known = {point: top_input_direction(own) for point, own in weights.points.items()}
        with _lock:
            _known[weights.weights_digest] = known
    return known


def _point_gate(there: Sequence[Tensor | None]) -> PointGate:
    size = next(len(direction) for direction in there if direction is not None)
    directions = [torch.zeros(size) if direction is None else direction for direction in there]
    return PointGate(
        torch.stack(directions).contiguous(), torch.zeros(len(there)), tuple(own is not None for own in there)
    )
