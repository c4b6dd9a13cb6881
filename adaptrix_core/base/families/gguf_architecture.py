"""How the `.gguf` files of one architecture are read: their keys, and what was done to their weights.

A family says it with this record; the reading itself is `base/gguf/`. The meaning of a key is defined by llama.cpp
(`src/models/*.cpp`), the changes of weights by its converters (`conversion/*.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from adaptrix_core.base.gguf.keys import Keys

SCALE_TOLERANCE = 1e-3
"""Relative difference up to which a file's scale of attention is the expected one: files keep it in few digits."""

Restore = Callable[[str, NDArray[Any], Any], NDArray[Any]]
"""(transformers' full name of a weight, its array in the file, configuration) -> the array as transformers has it."""


def unchanged(name: str, array: NDArray[Any], config: Any) -> NDArray[Any]:
    """The `Restore` of weights that the converter leaves as they are."""
    return array


@dataclass(frozen=True)
class GGUFArchitecture:
    """One architecture of the format."""

    name: str
    """The value of ``general.architecture``."""
    fields: Callable[[Keys], dict[str, Any]]
    """The fields of the configuration, ``model_type`` among them. It reads every key that it honours: one that is left
    unread must have the value that changes nothing, or the file is refused."""
    row_order: Restore = unchanged
    """Undoes permutations of whole rows. They leave quantised bytes as they are, so this is done to those as well."""
    values: Restore = unchanged
    """Undoes the other changes, of values."""
