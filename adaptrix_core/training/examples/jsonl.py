"""Reads conversations from a JSONL file; every unusable line is reported with its number and fault.

A line is ``{"prompt": …, "completion": …}``, or OpenAI's fine-tuning form: ``{"messages": […], "tools": […]}``.
"""

from __future__ import annotations

import json
from pathlib import Path

from adaptrix_core.errors import DataError
from adaptrix_core.suggestions import did_you_mean
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.openai_form import conversation_of

MAX_FAULTS = 20
FORMS = (
    '{"prompt": …, "completion": …} or {"messages": [… the last one of the assistant], "tools": [… where there are]}'
)
_FIELDS = ("prompt", "completion", "messages", "tools")


def read_jsonl(path: Path, count: int | None = None) -> list[LearntConversation]:
    """The first ``count`` conversations of a file (None: all). Raises DataError with up to `MAX_FAULTS` bad lines."""
    conversations: list[LearntConversation] = []
    faults: list[str] = []
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                    conversations.append(_conversation(row))
                except (ValueError, TypeError, RecursionError) as error:
                    faults.append(f"{path.name} line {number}: {_in_words(error, line)}")
                if len(conversations) == count or len(faults) == MAX_FAULTS:
                    break
    except OSError as error:
        raise DataError([f"{path} cannot be read: {error.strerror or error}"]) from error
    if faults:
        raise DataError(faults)
    if not conversations:
        raise DataError([f"{path.name} has no examples; a line is {FORMS}"])
    return conversations


def _in_words(error: Exception, line: bytes) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
    if isinstance(error, json.JSONDecodeError):
        kind = "an array over several lines" if line.strip() in (b"[", b"{") else "not JSON"
        return f"{kind} ({error.msg}, column {error.colno}); every line is one object, such as {FORMS}"
    return str(error)


def _conversation(row: object) -> LearntConversation:
    if not isinstance(row, dict):
        raise TypeError(f"not a JSON object; a line is {FORMS}")
    if "messages" in row:
        return conversation_of(row)
    if "prompt" not in row or "completion" not in row:
        raise ValueError(f'needs "prompt" and "completion", or "messages"; {_has(row)}')
    for name in ("prompt", "completion"):
        text = row[name]
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name} is {str(text)[:40]!r}; it must be a text that is not empty")
    return LearntConversation.of_pair(row["prompt"], row["completion"])


def _has(row: dict[str, object]) -> str:
    near = [f"{name!r}: {did_you_mean(name, _FIELDS)}" for name in row if did_you_mean(name, _FIELDS).startswith("did")]
    return "; ".join([f"it has {', '.join(map(repr, row)) or 'no fields'}", *near])
