"""One `.gguf` file opened for conversion: its keys and tensors by name, and a record of those not used yet.

A file is used whole or refused: reading a key or tensor marks it as used, and `check_used` names those that are left.
Knows the format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) and no architecture.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType as GGML
from gguf import GGUFReader, ReaderTensor
from gguf import dequantize as gguf_dequantize
from numpy.typing import NDArray

from adaptrix_core.errors import BaseModelError

_OWN_NAMESPACE = "GGUF."
"""The reader's names for the file's fixed header."""
_MOST_NAMED = 10


class GGUFFile:
    """An open file. Reading a tensor's values is lazy; opening parses the vocabulary, which takes seconds."""

    def __init__(self, file: Path) -> None:
        self.name = file.name
        reader = GGUFReader(file)
        self._fields = {key: field for key, field in reader.fields.items() if not key.startswith(_OWN_NAMESPACE)}
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self._unused_keys = set(self._fields)
        self._unused_tensors = set(self._tensors)
        self.architecture = str(self.get("general.architecture"))

    @property
    def unused_keys(self) -> frozenset[str]:
        """Metadata keys that were neither read nor marked as harmless."""
        return frozenset(self._unused_keys)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, ``default`` where the file lacks it."""
        self._unused_keys.discard(key)
        field = self._fields.get(key)
        return default if field is None else field.contents()

    def count(self, key: str) -> int:
        """Entries of an array, without reading them; 0 where the file lacks it."""
        self._unused_keys.discard(key)
        return len(self._fields[key].data) if key in self._fields else 0

    def ignore(self, key: str) -> None:
        """Mark a key as harmless."""
        self._unused_keys.discard(key)

    def __contains__(self, tensor: str) -> bool:
        return tensor in self._tensors

    def tensor(self, name: str) -> ReaderTensor:
        """A tensor as it is in the file. Raises BaseModelError where it is missing."""
        if name not in self._tensors:
            raise self.refused(f"tensor {name!r} is missing; fetch or convert the file again")
        self._unused_tensors.discard(name)
        return self._tensors[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, outermost dimension first; ``()`` where it is missing."""
        return tuple(int(size) for size in reversed(self._tensors[name].shape)) if name in self._tensors else ()

    def values(self, name: str) -> NDArray[np.float32]:
        """A tensor's values."""
        tensor = self.tensor(name)
        values: NDArray[np.float32] = gguf_dequantize(np.asarray(tensor.data), GGML(tensor.tensor_type)).astype(
            np.float32
        )
        return values

    def check_used(self) -> None:
        """Refuse a file with unused keys or tensors. Raises BaseModelError naming them."""
        for kind, unused in (("keys", self._unused_keys), ("tensors", self._unused_tensors)):
            if unused:
                raise self.refused(f"{kind} that are not understood: {_listed(unused)}")

    def refused(self, what: str) -> BaseModelError:
        """The error for a file that cannot be used as it is."""
        return BaseModelError(
            f"GGUF file {self.name!r} (architecture {self.architecture!r}): {what}. Computing without it would give "
            "wrong answers; use the model's safetensors directory or hub id instead",
            code="unsupported_gguf",
        )


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _MOST_NAMED
    return ", ".join(ordered[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
