"""The `general.*` entries at the beginning of a GGUF file: its own description.

Reads these few bytes only (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): a whole reader parses the
vocabulary as well, which takes tens of seconds. Knows nothing of tensors, and trusts nothing that it reads.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Value type -> bytes, for the types of a fixed size."""
_MAX_TEXT = 65_536
_MAX_ITEMS = 10_000


def general_texts(file: Path) -> dict[str, str]:
    """The text entries that begin with ``general.``, without that prefix; as far as the file can be read."""
    found: dict[str, str] = {}
    with file.open("rb") as handle:
        try:
            for _ in range(_entries(handle)):
                key = _text(handle)
                if not key.startswith("general."):
                    break  # writers put the general entries first
                value = _value(handle, _number(handle, "<I"))
                if value is not None:
                    found[key.removeprefix("general.")] = value
        except (ValueError, struct.error):
            return found
    return found


def _entries(handle: BinaryIO) -> int:
    if handle.read(4) != _MAGIC or _number(handle, "<I") not in _VERSIONS:
        raise ValueError("not a GGUF file of a known version")
    _number(handle, "<Q")  # tensors
    return min(_number(handle, "<Q"), _MAX_ITEMS)


def _value(handle: BinaryIO, kind: int) -> str | None:
    """The text of a text value; None for any other kind, which is read past."""
    if kind == _STRING:
        return _text(handle)
    if kind == _ARRAY:
        item, count = _number(handle, "<I"), _number(handle, "<Q")
        if item == _ARRAY or count > _MAX_ITEMS:
            raise ValueError("an array of that kind or length has no place among the general entries")
        for _ in range(count):
            _value(handle, item)
    elif kind in _FIXED_BYTES:
        handle.read(_FIXED_BYTES[kind])
    else:
        raise ValueError(f"value type {kind} is not known")
    return None


def _text(handle: BinaryIO) -> str:
    length = _number(handle, "<Q")
    if length > _MAX_TEXT:
        raise ValueError(f"a text of {length} bytes, limit {_MAX_TEXT}")
    data = handle.read(length)
    if len(data) < length:
        raise ValueError("the file ends within a text")
    return data.decode("utf-8")


def _number(handle: BinaryIO, layout: str) -> int:
    return int(struct.unpack(layout, handle.read(struct.calcsize(layout)))[0])
