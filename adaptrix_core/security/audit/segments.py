"""The files of a log: segments, each named by the number of its first line.

    <directory>/audit-0000000000000000.jsonl, audit-0000000000001723.jsonl, …

Only the last one grows. The others never change, so they can be copied away at any time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.errors import AdaptrixError
from adaptrix_core.security.audit.record import LINE_BYTES

_NAME = re.compile(r"audit-([0-9]{16})\.jsonl")


@dataclass(frozen=True, order=True)
class LogSegment:
    """One file of the log."""

    first_seq: int
    """The number of its first line."""
    path: Path


def segments_in(directory: Path) -> list[LogSegment]:
    """The segments in their order. Raises OSError; none where there is no directory."""
    names = os.listdir(directory) if directory.exists() else []
    found = ((_NAME.fullmatch(name), name) for name in names)
    return sorted(LogSegment(int(match[1]), directory / name) for match, name in found if match is not None)


def segments_of_log(directory: Path) -> list[LogSegment]:
    """As `segments_in`, for who expects a log there. Raises AdaptrixError (audit_log_not_found), OSError."""
    found = segments_in(directory)
    if not found:
        raise AdaptrixError(f"no audit log in {str(directory)!r}; name its directory", code="audit_log_not_found")
    return found


def segment_at(directory: Path, first_seq: int) -> LogSegment:
    """The segment whose first line has this number, there or not."""
    return LogSegment(first_seq, directory / f"audit-{first_seq:016d}.jsonl")


def lines_of(segment: LogSegment) -> Iterator[bytes]:
    """The lines with their newlines, which the last one may lack; one that is too long is cut, and so lacks its own.

    Raises OSError.
    """
    with segment.path.open("rb") as file:
        while line := file.readline(LINE_BYTES):
            yield line


def sync_directory(directory: Path) -> None:
    """Put the names of the files in ``directory`` on the disk. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
