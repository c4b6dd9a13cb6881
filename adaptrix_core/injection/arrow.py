"""Arrow: a gate made of the adapters themselves, without training (Ostapenko et al., arXiv:2405.11157, section 3.2).

An adapter's direction at a point is the top right-singular vector of its update ``B A``: the input on which it acts
most. A token's share goes to the adapters on whose directions its input is longest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

import torch
from cachetools import LRUCache
from torch import Tensor

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.gate import Gate, Gated, PointGate
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from adaptrix_core.injection.mix import Mix, Term, WantedGate

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import Point

Directions = Mapping["Point", Tensor]
"""An adapter's direction at each of its points, ``(d_in,)``."""

_KNOWN_ADAPTERS = 256
"""Adapters whose directions are kept: some 50 KB each for a base of 135 million parameters."""
_KNOWN_GATES = 64
_known: LRUCache[WeightsDigest, Directions] = LRUCache(_KNOWN_ADAPTERS)
_gates: LRUCache[tuple[tuple[WeightsDigest, ...], int | None, float], Gate] = LRUCache(_KNOWN_GATES)
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


def with_gates(mix: Mix, weights_of: Callable[[WeightsDigest], LoraWeights]) -> Mix:
    """``mix`` with every gate made that it wants, its digest too, so that none of it is left to the engine's thread.

    Takes some milliseconds for adapters that are new here; later requests with the same gate share it.
    """
    wanted: dict[tuple[str, ...], dict[int, Term[WeightsDigest]]] = {}
    for term in mix:
        if isinstance(term.gated, WantedGate):
            wanted.setdefault(term.gated.names, {})[term.gated.place] = term
    gates = {names: _wanted_gate(places, weights_of) for names, places in wanted.items()}
    return tuple(
        replace(term, gated=Gated(gates[term.gated.names], term.gated.place))
        if isinstance(term.gated, WantedGate)
        else term
        for term in mix
    )


def _wanted_gate(places: Mapping[int, Term[WeightsDigest]], weights_of: Callable[[WeightsDigest], LoraWeights]) -> Gate:
    rule = places[0].gated
    assert isinstance(rule, WantedGate)
    digests = tuple(places[place].adapter for place in range(len(rule.names)))
    key = digests, rule.top_k, rule.temperature
    with _lock:
        gate = _gates.get(key)
    if gate is None:
        gate = arrow_gate([weights_of(digest) for digest in digests], rule.top_k, rule.temperature)
        hash(gate)
        with _lock:
            _gates[key] = gate
    return gate


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
