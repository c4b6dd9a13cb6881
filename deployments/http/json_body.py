"""Parses JSON at a bounded cost, whatever the sender makes of it.

A body of some megabytes can hold a million empty lists, nest as deep as it is long, or be one number; each would take
far more time to parse than its size suggests. So values, depth and digits are counted before, by passes over the bytes
that take some milliseconds per megabyte. Knows JSON; the contents of a document are the business of
`openai/schemas.py`.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from pydantic_core import from_json

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST

_DIGITS_ALONE = bytes(ord("0") if chr(byte).isdigit() and byte < 128 else ord(" ") for byte in range(256))
_PLACE = re.compile(r"line (\d+) column (\d+)")
_SHOWN = 24


def parse_json(data: bytes) -> Any:
    """The document in ``data``.

    Raises InvalidRequest: invalid_utf8, invalid_json, json_too_many_values, json_too_deep, number_too_long.
    """
    _require_utf8(data)
    _refuse_costly(data)
    try:
        return from_json(data, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        _refuse(str(error), data)


def _require_utf8(data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}; encode it as UTF-8",
            code="invalid_utf8",
        ) from None


def _refuse_costly(data: bytes) -> None:
    """Raise where ``data`` is too costly to parse. Counts with the strings first, which is quick, then without them."""
    may_be_long = b"0" * (MOST.json_digits + 1) in data.translate(_DIGITS_ALONE)
    if num_values(data) <= MOST.json_values and not may_be_long:
        return
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    num_strings = plain.count(b'"') // 2
    structure = b'""'.join(plain.split(b'"')[::2]) if num_strings <= MOST.json_values else b""
    if num_strings > MOST.json_values or num_values(structure) > MOST.json_values:
        raise InvalidRequest(
            f"the body holds more than {MOST.json_values} values (numbers, strings, keys, arrays and objects); send "
            "several smaller requests",
            code="json_too_many_values",
        )
    if b"0" * (MOST.json_digits + 1) in structure.translate(_DIGITS_ALONE):
        raise InvalidRequest(
            f"the body holds a number of more than {MOST.json_digits} digits; send a shorter one",
            code="number_too_long",
        )


def num_values(data: bytes) -> int:
    """The most values and keys that a document with these bytes outside of its strings can hold."""
    return 1 + sum(data.count(mark) for mark in (b",", b"[", b"{", b":"))


def _refuse(reason: str, data: bytes) -> NoReturn:
    if "recursion limit" in reason:
        raise InvalidRequest(
            f"the body is nested more than {MOST.json_depth} levels deep; flatten it", code="json_too_deep"
        ) from None
    if "surrogate" in reason or "unexpected end of hex escape" in reason:
        raise InvalidRequest(
            f"the body holds half of a surrogate pair without its other half ({reason}); send whole characters",
            code="invalid_utf8",
        ) from None
    raise InvalidRequest(f"the body is not JSON: {reason}{_near(reason, data)}", code="invalid_json") from None


def _near(reason: str, data: bytes) -> str:
    """The parser's reason, with the text around its place."""
    place = _PLACE.search(reason)
    if place is None:
        return ""
    line, column = int(place[1]), int(place[2])
    text = (data.split(b"\n", line)[line - 1])[max(column - 1, 0) :][:_SHOWN].decode("utf-8", "replace")
    return f", at {text!r}" if text else ""
