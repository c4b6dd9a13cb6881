"""Arrow: a gate made of the adapters themselves, without training (Ostapenko et al., arXiv:2405.11157, section 3.2).

An adapter's direction at a point is the top right-singular vector of its update ``B A``: the input on which it acts
most. A token's share goes to the adapters on whose directions its input is longest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.gate import Gate, PointGate
from adaptrix_core.injection.lora import LoraWeights, PointWeights


def arrow_gate(adapters: Sequence[LoraWeights], top_k: int | None = None, temperature: float = 1.0) -> Gate:
    """The gate over ``adapters``, in their order. top_k: see `Gate`; None for all.

    At a point that an adapter does not adapt it has no share. Raises InvalidRequest for fewer than two adapters.
    """
    if len(adapters) < 2:
        raise InvalidRequest(f"a gate over {len(adapters)} adapter(s) decides nothing; name at least two", param="gate")
    points = sorted({point for weights in adapters for point in weights.points})
    return Gate(
        {point: _point_gate([weights.points.get(point) for weights in adapters]) for point in points},
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


def _point_gate(there: Sequence[PointWeights | None]) -> PointGate:
    size = next(weights.lora_a.shape[1] for weights in there if weights is not None)
    directions = [torch.zeros(size) if weights is None else top_input_direction(weights) for weights in there]
    return PointGate(
        torch.stack(directions).contiguous(), torch.zeros(len(there)), tuple(weights is not None for weights in there)
    )
