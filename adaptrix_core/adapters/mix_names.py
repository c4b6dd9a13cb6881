"""How a mix of adapters is written: ``name``, ``name@version`` or ``name*0.7+other*0.3``; what it may hold at most.

Does not know which adapters there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from adaptrix_core.errors import InvalidRequest

BASE = "base"
"""What the base model is called where an adapter's name could stand; no adapter may be called so."""

MAX_WEIGHT = 8.0
MAX_TERMS = 16

NamedWeight = tuple[str, float]


def parse_mix(text: str, base_id: str) -> tuple[NamedWeight, ...]:
    """(name, weight) in the order written; a name without ``*weight`` has weight 1. ``base_id:`` before it is dropped.

    Raises InvalidRequest (``model``) for empty or repeated names and for weights that cannot be used.
    """
    terms: list[NamedWeight] = []
    for part in text.removeprefix(f"{base_id}:").split("+"):
        name, star, weight = (piece.strip() for piece in part.partition("*"))
        if not name or any(name == earlier for earlier, _ in terms):
            problem = f"names {name!r} twice" if name else "has an empty name"
            raise InvalidRequest(f"model {text!r} {problem}; write name*0.7+other*0.3", param="model")
        terms.append((name, _number(weight, text) if star else 1.0))
    check_mix(terms, "model")
    return tuple(terms)


def check_mix(terms: Sequence[NamedWeight], param: str) -> None:
    """Raise InvalidRequest, naming ``param``, for no or too many adapters, or a weight that is too large."""
    if not 1 <= len(terms) <= MAX_TERMS:
        raise InvalidRequest(f"{param} mixes {len(terms)} adapters; allowed: 1 to {MAX_TERMS}", param=param)
    for name, weight in terms:
        if not math.isfinite(weight) or abs(weight) > MAX_WEIGHT:
            raise InvalidRequest(
                f"{param}: weight {weight:g} of {name!r}; allowed: -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}", param=param
            )


def mix_label(terms: Iterable[NamedWeight]) -> str:
    """For people and headers: ``base``, ``name`` or ``a*0.7+b*0.3``."""
    listed = list(terms)
    if not listed:
        return BASE
    if len(listed) == 1 and listed[0][1] == 1.0:
        return listed[0][0]
    return "+".join(f"{name}*{weight:g}" for name, weight in listed)


def _number(weight: str, text: str) -> float:
    try:
        return float(weight)
    except ValueError:
        raise InvalidRequest(
            f"model {text!r}: {weight!r} is not a weight; write name*0.7+other*0.3", param="model"
        ) from None
