"""Chooses the cut, the layer at which the branch begins, from the adapters that will be served."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from adaptrix_core.adapters import AdapterManager, AdapterMetadata
from adaptrix_core.adapters.package.fit import is_made_for
from adaptrix_core.base import BaseModel
from adaptrix_core.errors import InvalidRequest

_LEAST_SHARE = 6
"""Smallest trunk, as a divisor of the number of layers (6: a sixth): a smaller one saves too little to be worth a
cut."""


def choose_cut(first_layers: Iterable[int], num_layers: int) -> int | None:
    """The lowest layer that some adapter begins at, so that all of them share the layers below it.

    Adapters that begin in the lowest sixth are left out: they are served, but share nothing. Without adapters, a third
    of the depth, where training places them by default. None for a model of a single layer.
    """
    if num_layers < 2:
        return None
    least = max(1, num_layers // _LEAST_SHARE)
    return min((layer for layer in first_layers if least <= layer < num_layers), default=max(1, num_layers // 3))


def catalogue_cut(directory: Path | str, base: BaseModel) -> int | None:
    """`choose_cut` for those adapters of a catalogue that are made for ``base``, as their metadata describe them."""
    own = [metadata for metadata in AdapterManager(directory).list_adapters() if is_made_for(metadata, base.info)]
    first = [min(metadata.target_layers) for metadata in own if isinstance(metadata, AdapterMetadata)]
    return choose_cut(first, base.info.num_layers)


def spans_of(num_layers: int, cut: int | None) -> list[range]:
    """The layers of trunk and branch; of one span without a cut. Raises InvalidRequest for one outside the layers."""
    if cut is None:
        return [range(num_layers)]
    if not 0 < cut < num_layers:
        raise InvalidRequest(f"cut is {cut}; it must lie inside the {num_layers} layers (1 to {num_layers - 1})")
    return [range(cut), range(cut, num_layers)]
