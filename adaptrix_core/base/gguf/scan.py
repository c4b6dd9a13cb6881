"""Reads the types of a GGUF file's weights and its sampling values, and nothing else of the file.

A full reader turns every entry of the vocabulary into an object, which takes tens of seconds; here they are skipped
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import mmap
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gguf import GGMLQuantizationType as GGML
from gguf import GGUFValueType as Value
from gguf import Keys

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
_LAYOUTS = {Value.FLOAT32: "<f", Value.FLOAT64: "<d", Value.INT32: "<i", Value.UINT32: "<I", Value.INT64: "<q"}
"""Value types of numbers in the sampling entries."""
_SAMPLING = {
    Keys.General.SAMPLING_TEMP.encode(): "temperature",
    Keys.General.SAMPLING_TOP_P.encode(): "top_p",
    Keys.General.SAMPLING_TOP_K.encode(): "top_k",
    Keys.General.SAMPLING_MIN_P.encode(): "min_p",
    Keys.General.SAMPLING_PENALTY_REPEAT.encode(): "repetition_penalty",
}
_LONGEST_KEY = 256
_HEAD_BYTES = 4 + 4
_MATRIX = 2
"""Number of dimensions of a weight matrix; norms and biases have one, and are never quantised."""


@dataclass(frozen=True)
class GGUFScan:
    """The result of a scan."""

    quantised: tuple[str, ...] = ()
    """Quantised types of the file's matrices, the commonest first, such as ``("Q4_1", "Q6_K")``; empty for none."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """Sampling values of the file, by the names of `SamplingDefaults`."""


def scan_gguf(file: Path) -> GGUFScan:
    """Scan a file. Empty for one that is no GGUF file: loading it raises the error."""
    try:
        with file.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _scan(data)
    except (OSError, ValueError, OverflowError, struct.error):
        return GGUFScan()


def _scan(data: mmap.mmap) -> GGUFScan:
    num_tensors, at = _number(data, _HEAD_BYTES, "<Q")
    num_entries, at = _number(data, at, "<Q")
    sampling: dict[str, float] = {}
    for _ in range(num_entries):
        key, at = _text(data, at)
        kind, at = _number(data, at, "<I")
        if key in _SAMPLING and Value(kind) in _LAYOUTS:
            sampling[_SAMPLING[key]] = _value(data, at, _LAYOUTS[Value(kind)])
        at = _past_value(data, at, Value(kind))
    types: Counter[int] = Counter()
    for _ in range(num_tensors):
        dimensions, at = _number(data, _past_text(data, at), "<I")
        kind, at = _number(data, at + 8 * dimensions, "<I")
        types[kind] += dimensions >= _MATRIX
        at += 8  # the offset of the tensor's bytes
    quantised = tuple(GGML(kind).name for kind, _ in (+types).most_common() if kind not in _PLAIN)
    return GGUFScan(quantised, sampling)


def _value(data: mmap.mmap, at: int, layout: str) -> float:
    """A number; a single-precision value is rounded to the digits that it has."""
    value: float = struct.unpack_from(layout, data, at)[0]
    return float(f"{value:.7g}") if layout == "<f" else value


def _text(data: mmap.mmap, at: int) -> tuple[bytes, int]:
    end = _past_text(data, at)
    return data[at + 8 : min(end, at + 8 + _LONGEST_KEY)], end


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
