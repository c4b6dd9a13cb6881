"""Whether a GGUF file's weights are quantised, from its directory of tensors; nothing else of it is read.

A whole reader turns every entry of the vocabulary into an object, which takes tens of seconds; here they are stepped
over (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from pathlib import Path

from gguf import GGMLQuantizationType as GGML
from gguf import GGUFValueType as Value

_PLAIN = frozenset({GGML.F32, GGML.F16, GGML.BF16, GGML.F64})
_BYTES = {
    Value.UINT8: 1,
    Value.INT8: 1,
    Value.BOOL: 1,
    Value.UINT16: 2,
    Value.INT16: 2,
    Value.UINT32: 4,
    Value.INT32: 4,
    Value.FLOAT32: 4,
    Value.UINT64: 8,
    Value.INT64: 8,
    Value.FLOAT64: 8,
}
_HEAD_BYTES = 4 + 4
_MATRIX = 2
"""Dimensions of a weight matrix; norms and biases have one and are plain in any file."""


def quantised_types(file: Path) -> list[str]:
    """Quantised types of the file's matrices, the commonest first, such as ``["Q4_1", "Q6_K"]``; empty for none.

    Also empty for what is not a GGUF file: whoever loads it says what is wrong with it.
    """
    try:
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return [GGML(kind).name for kind, _ in _matrix_types(data).most_common() if kind not in _PLAIN]
    except (OSError, ValueError, OverflowError, struct.error):
        return []


def _matrix_types(data: mmap.mmap) -> Counter[int]:
    num_tensors, at = _number(data, _HEAD_BYTES, "<Q")
    num_entries, at = _number(data, at, "<Q")
    for _ in range(num_entries):
        at = _past_text(data, at)
        kind, at = _number(data, at, "<I")
        at = _past_value(data, at, Value(kind))
    found: Counter[int] = Counter()
    for _ in range(num_tensors):
        dimensions, at = _number(data, _past_text(data, at), "<I")
        kind, at = _number(data, at + 8 * dimensions, "<I")
        found[kind] += dimensions >= _MATRIX
        at += 8  # where the tensor's bytes are
    return +found


def _past_value(data: mmap.mmap, at: int, kind: Value) -> int:
    if kind == Value.STRING:
        return _past_text(data, at)
    if kind != Value.ARRAY:
        return at + _BYTES[kind]
    inner, at = _number(data, at, "<I")
    count, at = _number(data, at, "<Q")
    if Value(inner) in _BYTES:
        return at + count * _BYTES[Value(inner)]
    if Value(inner) != Value.STRING:
        raise ValueError("an array of arrays has no place in a model file")
    for _ in range(count):
        at = _past_text(data, at)
    return at


def _past_text(data: mmap.mmap, at: int) -> int:
    length, at = _number(data, at, "<Q")
    return at + length


def _number(data: mmap.mmap, at: int, layout: str) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    return int(struct.unpack_from(layout, data, at)[0]), at + struct.calcsize(layout)
