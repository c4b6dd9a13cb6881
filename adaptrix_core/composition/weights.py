"""Reads the weights of parts, and lays a part's weight or layers on the terms of its mix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import LAYER_THIRDS, LayerThird, Term
from adaptrix_core.request_limits import MOST


def read_weight(name: Any, weight: Any) -> float:
    """A weight as a float. Raises InvalidRequest for anything that is no number."""
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise InvalidRequest(f"the weight of {name!r:.60} is {weight!r:.60}; it must be a finite number")
    return float(weight)


def read_share(name: Any, weight: Any) -> float:
    """The weight of a row among others: above 0, so that it counts for something. Raises InvalidRequest."""
    share = read_weight(name, weight)
    if not 0 < share <= MOST.mix_weight:
        raise InvalidRequest(
            f"the weight of {name!r:.60} is {share:g}; it must be above 0 and at most {MOST.mix_weight:g}"
        )
    return share


def scaled(mix: tuple[Term[str], ...], factor: float) -> tuple[Term[str], ...]:
    """The mix with every weight multiplied."""
    if factor == 1.0:
        return mix
    return tuple(
        replace(term, weight=tuple(factor * one for one in term.weight))
        if isinstance(term.weight, tuple)
        else replace(term, weight=factor * term.weight)
        for term in mix
    )


def read_layers(value: Any) -> frozenset[int] | LayerThird:
    """``[first, end)`` as numbers, or a third of the model by name. Raises InvalidRequest."""
    if isinstance(value, str) and value in LAYER_THIRDS:
        return value
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(type(one) is int for one in value):
        first, end = value
        if 0 <= first < end <= MOST.mix_layers:
            return frozenset(range(first, end))
    raise InvalidRequest(
        f"layers is {value!r:.80}; it must be [first, end] with 0 <= first < end <= {MOST.mix_layers}, the end left "
        f"out, or one of {', '.join(LAYER_THIRDS)}"
    )


def on_layers(mix: tuple[Term[str], ...], layers: frozenset[int] | LayerThird) -> tuple[Term[str], ...]:
    """The mix on some layers only. Raises InvalidRequest where nothing of a term is left, or it is unknown what is."""
    return tuple(replace(term, layers=_both(term, layers)) for term in mix)


def _both(term: Term[str], layers: frozenset[int] | LayerThird) -> frozenset[int] | LayerThird:
    if term.layers is None or term.layers == layers:
        return layers
    if isinstance(layers, str) or isinstance(term.layers, str):
        raise InvalidRequest(
            f"{term.adapter!r} has layers of its own, and early, mid and late depend on the model; give numbers in both"
        )
    if not (both := layers & term.layers):
        raise InvalidRequest(f"{term.adapter!r} has no layer inside of the layers of its part; they share none")
    return both
