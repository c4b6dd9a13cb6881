"""A composition strategy: each adapter on a range of layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from adaptrix_core.composition.parts import Part, plain
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term


class Layered:
    """``{"layered": {"a": [0, 12], "b": [12, 30]}}``: first layer, and the one after the last."""

    def compose(self, parts: Any, options: Mapping[str, Any], read: Callable[[Any], Part[str]]) -> Part[str]:
        """One row under one mix, with a term for each adapter."""
        try:
            return plain(tuple(Term(name, 1.0, frozenset(range(first, end))) for name, (first, end) in parts.items()))
        except (AttributeError, TypeError, ValueError):
            raise InvalidRequest(
                'layered takes a range of layers for each adapter, such as {"layered": {"a": [0, 12], "b": [12, 30]}}'
            ) from None


LAYERED = Layered()
