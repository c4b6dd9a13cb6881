"""The strategy ``hierarchical``: each part on layers of its own, in one pass through the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from adaptrix_core.composition.nesting import row_inside
from adaptrix_core.composition.parts import Part, plain
from adaptrix_core.composition.weights import on_layers, read_layers
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term


class Hierarchical:
    """``{"hierarchical": [{"adapter": "a", "layers": [0, 12]}, {"adapter": "b", "layers": "late"}]}``.

    Layers are half-open ranges, or ``early``, ``mid`` and ``late`` for the thirds of the model.
    """

    def compose(self, parts: Any, options: Mapping[str, Any], read: Callable[[Any], Part[str]]) -> Part[str]:
        """See `CompositionStrategy`."""
        if unknown := sorted(options):
            raise InvalidRequest(f"hierarchical has no option {unknown[0]!r}; it takes none")
        if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
            raise InvalidRequest(f"hierarchical takes a list of parts with their layers, not {parts!r:.60}")
        terms: list[Term[str]] = []
        for part in parts:
            if not isinstance(part, Mapping) or set(part) != {"adapter", "layers"}:
                raise InvalidRequest(f'a part of hierarchical has "adapter" and "layers", not {part!r:.60}')
            mix = row_inside("hierarchical", read(part["adapter"])).mix
            terms += on_layers(mix, read_layers(part["layers"]))
        return plain(tuple(terms))


HIERARCHICAL = Hierarchical()
