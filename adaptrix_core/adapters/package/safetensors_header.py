"""Reads the header of a safetensors file, and refuses everything that adapters do not need of the format.

Knows the file format only: 8 bytes little-endian header length, a JSON header, then the tensors back to back
(https://huggingface.co/docs/safetensors). Does not know adapters. Nothing here touches tensor bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import Any

from adaptrix_core.errors import AdapterRejected
from adaptrix_core.git_lfs import ADVICE, is_pointer

DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
"""The dtypes LoRA weights may have, with bytes per element."""

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class TensorEntry:
    """One tensor as announced by the header."""

    dtype: str
    shape: tuple[int, ...]


def read_header(data: bytes, file_name: str, max_header_bytes: int) -> dict[str, TensorEntry]:
    """The tensors that ``data``, a whole safetensors file, announces.

    Raises AdapterRejected: oversize_header, bad_dtype, or bad_safetensors for anything malformed (truncated file,
    broken JSON, a name given twice, sizes that disagree with shapes, gaps or overlaps between tensors).
    """
    header = _header_json(data, file_name, max_header_bytes)
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise malformed(file_name, "__metadata__ is not a mapping of text to text")
    entries: dict[str, TensorEntry] = {}
    ranges: list[tuple[int, int]] = []
    for name, fields in header.items():
        entry, span = _entry(name, fields, file_name)
        entries[name] = entry
        ranges.append(span)
    _check_tiling(ranges, len(data) - _LENGTH_BYTES - int.from_bytes(data[:_LENGTH_BYTES], "little"), file_name)
    return entries


def _header_json(data: bytes, file_name: str, max_header_bytes: int) -> dict[str, Any]:
    if is_pointer(data):
        raise malformed(file_name, f"it {ADVICE}")
    if len(data) < _LENGTH_BYTES:
        raise malformed(file_name, f"it has {len(data)} bytes, the header length alone takes {_LENGTH_BYTES}")
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if length > max_header_bytes:
        raise AdapterRejected(
            f"{file_name}: header of {length} bytes, limit {max_header_bytes}; an honest adapter needs far less",
            code="oversize_header",
        )
    if _LENGTH_BYTES + length > len(data):
        raise malformed(file_name, f"header of {length} bytes announced, the file has {len(data)} bytes in all")
    try:
        text = data[_LENGTH_BYTES : _LENGTH_BYTES + length].decode("utf-8")  # json would also accept UTF-16
        header = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise malformed(file_name, f"header is not valid JSON ({type(error).__name__}: {error})") from error
    if not isinstance(header, dict):
        raise malformed(file_name, "header is not a JSON object")
    return header


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers may pick different ones of two equal names; then other tensors would be loaded than were checked.
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name is given twice")
    return fields


def _entry(name: str, fields: Any, file_name: str) -> tuple[TensorEntry, tuple[int, int]]:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise malformed(file_name, f"tensor {name!r} must have exactly dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if dtype not in DTYPE_BYTES:
        allowed = ", ".join(DTYPE_BYTES)
        raise AdapterRejected(f"{file_name}: tensor {name!r} has dtype {dtype!r}, allowed: {allowed}", code="bad_dtype")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise malformed(file_name, f"tensor {name!r} has shape {shape!r} and data_offsets {offsets!r}")
    begin, end = offsets
    if end - begin != prod(shape) * DTYPE_BYTES[dtype]:
        raise malformed(file_name, f"tensor {name!r} of shape {shape} and {dtype} cannot take {end - begin} bytes")
    return TensorEntry(dtype, tuple(shape)), (begin, end)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def _check_tiling(ranges: list[tuple[int, int]], data_bytes: int, file_name: str) -> None:
    """Raise unless tensors fill the data area exactly: a gap could hide anything, an overlap could alias."""
    position = 0
    for begin, end in sorted(ranges):
        if begin != position:
            raise malformed(file_name, f"a tensor begins at byte {begin} of the data, expected {position}")
        position = end
    if position != data_bytes:
        raise malformed(file_name, f"tensors take {position} bytes, the file holds {data_bytes}")


def malformed(file_name: str, what: str) -> AdapterRejected:
    """The error for a file that violates the format."""
    return AdapterRejected(f"{file_name}: not a usable safetensors file: {what}", code="bad_safetensors")
