"""Finds families: by transformers' model type, and by the architecture of a `.gguf` file.

Which there are, and where, is in `adaptrix_core/extensions.py`, with those of other packages; each is imported when it
is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from adaptrix_core.base.families.family import Family
from adaptrix_core.base.families.gguf_architecture import GGUFArchitecture
from adaptrix_core.errors import BaseModelError, UnknownExtension
from adaptrix_core.extensions import MODEL_FAMILIES


def family_of(model_type: str) -> Family:
    """The family of a transformers ``model_type``.

    Raises BaseModelError naming the known ones, or ExtensionError for one of another package that cannot be used.
    """
    try:
        return MODEL_FAMILIES.get(model_type)
    except UnknownExtension as error:
        raise BaseModelError(
            f"model family {model_type!r} is not known; known families: {', '.join(sorted(MODEL_FAMILIES.names()))}",
            code="unknown_family",
        ) from error


def gguf_architectures() -> Iterator[GGUFArchitecture]:
    """The architectures of `.gguf` files that are read, ours before those of other packages; each family is imported
    when its turn comes. Two families may share one.
    """
    for model_type in MODEL_FAMILIES.names():
        architecture = family_of(model_type).gguf
        if architecture is not None:
            yield architecture
