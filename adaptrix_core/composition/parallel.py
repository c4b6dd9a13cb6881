"""The strategy ``parallel``: all adapters at once, their weighted LoRA terms added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term


class Parallel:
    """``{"parallel": {"a": 0.7, "b": 0.3}}``, or a list of names, each with weight 1."""

    def mix(self, parts: Any, options: Mapping[str, Any]) -> tuple[Term[str], ...]:
        """See `CompositionStrategy`."""
        if unknown := sorted(set(options)):
            raise InvalidRequest(f"parallel has no option {unknown[0]!r}; it takes none")
        weights = dict.fromkeys(parts, 1.0) if _is_list_of_names(parts) else parts
        if not isinstance(weights, Mapping) or not weights:
            raise InvalidRequest(f"parallel takes weights by adapter name, or a list of names, not {parts!r:.60}")
        return tuple(Term(name, _weight(name, weight)) for name, weight in weights.items())


def _is_list_of_names(parts: Any) -> bool:
    is_list = isinstance(parts, Sequence) and not isinstance(parts, str)
    return is_list and all(isinstance(name, str) for name in parts)


def _weight(name: str, weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise InvalidRequest(f"the weight of {name!r} is {weight!r:.60}; it must be a finite number")
    return float(weight)


PARALLEL = Parallel()
