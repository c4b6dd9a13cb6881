"""Reads pairs from a JSONL file; every unusable line is reported with its number and fault.

A line is ``{"prompt": …, "completion": …}`` or ``{"messages": [user, assistant]}``.
"""

from __future__ import annotations

import json
from pathlib import Path

from adaptrix_core.errors import DataError
from adaptrix_core.suggestions import did_you_mean

Pair = tuple[str, str]
"""(what the user asks, what to reply)"""

MAX_FAULTS = 20
FORMS = '{"prompt": …, "completion": …} or {"messages": [one of the user, one of the assistant]}'
_FIELDS = ("prompt", "completion", "messages")


def read_jsonl(path: Path, count: int | None = None) -> list[Pair]:
    """The first ``count`` pairs of a file (None: all). Raises DataError with up to `MAX_FAULTS` bad lines."""
    pairs: list[Pair] = []
    faults: list[str] = []
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    pairs.append(_pair(json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))))
                except (ValueError, TypeError, RecursionError) as error:
                    faults.append(f"{path.name} line {number}: {_in_words(error, line)}")
                if len(pairs) == count or len(faults) == MAX_FAULTS:
                    break
    except OSError as error:
        raise DataError([f"{path} cannot be read: {error.strerror or error}"]) from error
    if faults:
        raise DataError(faults)
    if not pairs:
        raise DataError([f"{path.name} has no examples; a line is {FORMS}"])
    return pairs


def _in_words(error: Exception, line: bytes) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
    if isinstance(error, json.JSONDecodeError):
        kind = "an array over several lines" if line.strip() in (b"[", b"{") else "not JSON"
        return f"{kind} ({error.msg}, column {error.colno}); every line is one object, such as {FORMS}"
    return str(error)


def _pair(row: object) -> Pair:
    if not isinstance(row, dict):
        raise TypeError(f"not a JSON object; a line is {FORMS}")
    if "messages" in row:
        pair = _of_messages(row["messages"])
    elif "prompt" in row and "completion" in row:
        pair = (row["prompt"], row["completion"])
    else:
        raise ValueError(f'needs "prompt" and "completion", or "messages"; {_has(row)}')
    for name, text in zip(("prompt", "completion"), pair, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name} is {str(text)[:40]!r}; it must be a text that is not empty")
    return pair


def _of_messages(messages: object) -> Pair:
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise TypeError("messages is not a list of objects")
    roles = [message.get("role") for message in messages]
    if roles != ["user", "assistant"]:
        raise ValueError(f"messages have the roles {roles}; they must be one user and one assistant message")
    return messages[0].get("content"), messages[1].get("content")


def _has(row: dict[str, object]) -> str:
    near = [f"{name!r}: {did_you_mean(name, _FIELDS)}" for name in row if did_you_mean(name, _FIELDS).startswith("did")]
    return "; ".join([f"it has {', '.join(map(repr, row)) or 'no fields'}", *near])
