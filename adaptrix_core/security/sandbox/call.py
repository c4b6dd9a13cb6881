"""What a sandbox is asked, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

Arguments = tuple[tuple[object, ...], ...]
"""The arguments of each call."""

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Call:
    """Source text, the function in it to call, and the arguments of each call (values that JSON can carry)."""

    source: str
    function: str
    arguments: Arguments


@dataclass(frozen=True)
class SandboxOutcome:
    """``values`` holds one value per call, or is empty and ``fault`` says why.

    A fault is ``timeout``, ``no result``, ``too much output``, or the name of the exception that the code raised.
    Values are what the code says of itself: compare them outside of the sandbox with what it has not seen.
    """

    values: tuple[object, ...]
    fault: str | None = None


def written_call(call: Call, limits: Mapping[str, tuple[int, int]]) -> bytes:
    """The line that `inside.py` reads."""
    document = {"source": call.source, "function": call.function, "arguments": call.arguments, "limits": limits}
    return json.dumps(document).encode() + b"\n"


def read_reply(line: bytes, calls: int) -> SandboxOutcome:
    """The outcome in a line that foreign code may have written: a value for each of ``calls`` calls, or a fault."""
    try:
        reply = json.loads(line)
    except (ValueError, RecursionError):
        return SandboxOutcome((), "no result")
    match reply:
        case {"values": list(values)} if len(reply) == 1 and len(values) == calls:
            return SandboxOutcome(tuple(values))
        case {"fault": str(name)} if len(reply) == 1 and len(name) <= _LONGEST_NAME and name.isidentifier():
            return SandboxOutcome((), name)
    return SandboxOutcome((), "no result")
