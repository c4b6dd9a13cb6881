"""Lays a gate on the adapters of a mix, to be made once they are loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import LEAST_TEMPERATURE, Term, WantedGate

Terms = tuple[Term[str], ...]


def gated(mix: Terms, options: Mapping[str, Any]) -> Terms:
    """The mix under Arrow's gate. options: ``top_k``, ``temperature``. Raises InvalidRequest."""
    names = tuple(term.adapter for term in mix)
    if len(names) < 2 or len(set(names)) < len(names) or any(term.gated for term in mix):
        raise InvalidRequest(
            f"a gate weighs two or more different adapters, none of them under another gate; it has {', '.join(names)}"
        )
    top_k, temperature = options.get("top_k"), options.get("temperature", 1.0)
    if top_k is not None and (type(top_k) is not int or not 1 <= top_k <= len(names)):
        raise InvalidRequest(f"top_k is {top_k!r:.60}; it must be a whole number from 1 to {len(names)}, the adapters")
    is_number = isinstance(temperature, (int, float)) and not isinstance(temperature, bool)
    if not is_number or not LEAST_TEMPERATURE <= temperature < math.inf:
        raise InvalidRequest(f"temperature is {temperature!r:.60}; it must be a number, at least {LEAST_TEMPERATURE:g}")
    return tuple(
        replace(term, gated=WantedGate(names, place, top_k, float(temperature))) for place, term in enumerate(mix)
    )
