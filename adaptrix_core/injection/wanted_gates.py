"""Lays the gates on a mix that its terms want: learned ones, or Arrow's, which are made of the adapters.

Runs where a request is prepared, so that nothing of it is left to the engine's thread. Knows neither files nor names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Lock

from cachetools import LRUCache

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.arrow import arrow_gate
from adaptrix_core.injection.gate import Gate, Gated
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Mix, Term, WantedGate

_KNOWN_GATES = 64
_arrows: LRUCache[tuple[tuple[WeightsDigest, ...], int | None, float], Gate] = LRUCache(_KNOWN_GATES)
_lock = Lock()

WeightsOf = Callable[[WeightsDigest], LoraWeights]


def with_gates(mix: Mix, weights_of: WeightsOf) -> Mix:
    """``mix`` with every gate made that it wants, its digest too.

    Arrow's takes some milliseconds for adapters that are new here; later requests with the same gate share it. Raises
    AdapterRejected (bad_gate) for a learned one that doesn't fit its adapters, InvalidRequest as `arrow_gate`.
    """
    wanted: dict[tuple[str, ...], dict[int, Term[WeightsDigest]]] = {}
    for term in mix:
        if isinstance(term.gated, WantedGate):
            wanted.setdefault(term.gated.names, {})[term.gated.place] = term
    made = {names: _places(terms, weights_of) for names, terms in wanted.items()}
    return tuple(
        replace(term, gated=made[term.gated.names][term.adapter]) if isinstance(term.gated, WantedGate) else term
        for term in mix
    )


def _places(terms: Mapping[int, Term[WeightsDigest]], weights_of: WeightsOf) -> dict[WeightsDigest, Gated]:
    """The place of each adapter in the gate that these terms want, which are given by their own places."""
    rule = terms[0].gated
    assert isinstance(rule, WantedGate)
    digests = tuple(terms[place].adapter for place in range(len(rule.names)))
    if rule.learned is None:
        gate = _arrow(digests, rule, weights_of)
    else:
        for digest in digests:
            rule.learned.check_fits(digest, weights_of(digest).points)
        gate, digests = rule.learned.gate, rule.learned.weights_digests
    return {digest: Gated(gate, place) for place, digest in enumerate(digests)}


def _arrow(digests: tuple[WeightsDigest, ...], rule: WantedGate, weights_of: WeightsOf) -> Gate:
    key = digests, rule.top_k, rule.temperature
    with _lock:
        gate = _arrows.get(key)
    if gate is None:
        gate = arrow_gate([weights_of(digest) for digest in digests], rule.top_k, rule.temperature)
        hash(gate)  # its digest is made now, not on the engine's thread
        with _lock:
            _arrows[key] = gate
    return gate
