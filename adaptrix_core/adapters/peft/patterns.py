"""Regular expressions of adapter files: matched as PEFT matches them, at a bounded cost.

PEFT uses Python's `re`, whose worst case takes exponential time and cannot be interrupted, and no other library gives
the same answer to every expression that `re` accepts. So `re` itself is used, in a process of its own with a limit of
processor time for all expressions of one adapter. The caller's thread only waits, without the interpreter's lock.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrix_core.errors import AdapterRejected, AdapterUnavailable

SECONDS = 2
"""Seconds of processor time for all expressions of one adapter. 560 modules of 80 layers against 560 alternatives take
0.1."""
MEMORY_BYTES = 512 * 1024 * 1024
MAX_PATTERNS = 4096
_WALL_SECONDS = 30.0
"""Wall-clock seconds after which the process is ended even if a busy machine has given it less processor time."""
_WORKER = Path(__file__).with_name("pattern_worker.py")


@dataclass(frozen=True)
class Pattern:
    """An expression, and the field that it comes from."""

    field: str
    written: str
    """The expression in the file."""
    expression: str
    """The expression that PEFT makes of it and matches."""
    whole: bool
    """Whether a name must match to its end."""


Matches = Mapping[Pattern, Mapping[str, str | None]]
"""By pattern, the matching names, each with the text of the group ``idx``, or None."""


def match_names(patterns: Sequence[Pattern], names: Sequence[str], origin: str) -> Matches:
    """Match every pattern with every name. AdapterRejected (bad_peft): not an expression, or too costly to match.

    AdapterUnavailable: the system starts no more processes.
    """
    if not patterns:
        return {}
    if len(patterns) > MAX_PATTERNS:
        raise _refused(patterns[0], origin, f"one of {len(patterns)} patterns, limit {MAX_PATTERNS}; use fewer")
    lines = _run(patterns, names)
    matches: dict[Pattern, Mapping[str, str | None]] = {}
    for pattern, line in zip(patterns, lines, strict=False):
        if "error" in line:
            raise _refused(pattern, origin, f"which is not a regular expression: {line['error']}")
        matches[pattern] = {names[index]: captured for index, captured in line["matched"]}
    if len(lines) < len(patterns):
        raise _refused(
            patterns[len(lines)],
            origin,
            f"which is too costly to match with {len(names)} module names (limit for all patterns of an adapter: "
            f"{SECONDS} s of processor time, {MEMORY_BYTES >> 20} MiB); give a list of module names instead",
        )
    return matches


def _run(patterns: Sequence[Pattern], names: Sequence[str]) -> list[dict[str, Any]]:
    """The worker's complete lines: one per pattern, fewer where a limit has ended it."""
    work = {
        "patterns": [[pattern.expression, pattern.whole] for pattern in patterns],
        "names": list(names),
        "seconds": SECONDS,
        "bytes": MEMORY_BYTES,
    }
    # -I and -S: isolated from the caller's directory and from installed packages, and quick to start.
    command = [sys.executable, "-I", "-S", str(_WORKER)]
    try:
        done = subprocess.run(command, input=json.dumps(work).encode(), capture_output=True, timeout=_WALL_SECONDS)
        output = done.stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    except OSError as error:
        raise AdapterUnavailable(f"no process can be started to match an adapter's patterns: {error}") from error
    return [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]


def _refused(pattern: Pattern, origin: str, what: str) -> AdapterRejected:
    shown = pattern.written if len(pattern.written) <= 80 else pattern.written[:77] + "..."
    return AdapterRejected(
        f"{origin}: adapter_config.json cannot be used: {pattern.field} holds {shown!r}, {what}", code="bad_peft"
    )
