"""Finds the end of a log that is to be written to, and puts a half-written end aside.

Only the last file is read: its first line is the checkpoint of all before it. Whoever writes was perhaps cut off in the
middle of a line, so an end that is no line is moved into a file of its own. Anything else that is wrong is not for a
program to mend.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adaptrix_core.security.audit.chain import BrokenLine, Chain
from adaptrix_core.security.audit.record import MalformedLine, read_line
from adaptrix_core.security.audit.segments import LogSegment, lines_of, segments_in, sync_directory


@dataclass(frozen=True)
class LogEnd:
    """Where a log ends, whole lines only."""

    segment: LogSegment
    chain: Chain
    num_bytes: int
    """Of the segment's whole lines."""
    opened_at: str
    """Time in the segment's first line."""


@dataclass(frozen=True)
class PutAside:
    """A half-written end that was moved out of the log."""

    file: str
    num_bytes: int


def find_end(directory: Path, keys: Sequence[Ed25519PublicKey]) -> tuple[LogEnd | None, list[PutAside]]:
    """The end of the log, and what had to be put aside; None where no line was ever written.

    Raises BrokenChain where the last file is not as it was written, OSError.
    """
    aside = []
    for segment in reversed(segments_in(directory)):
        end, rest = _end_of(segment, keys)
        if rest:
            aside.append(_put_aside(segment, end.num_bytes if end else 0, rest))
        if end is not None:
            return end, aside
        # Cut off before its first line was whole: the log went on in the file before.
        segment.path.unlink()
        sync_directory(directory)
    return None, aside


def _end_of(segment: LogSegment, keys: Sequence[Ed25519PublicKey]) -> tuple[LogEnd | None, bytes]:
    """The end of a segment, None without a whole line; and the bytes behind it."""
    chain = Chain(keys)
    num_bytes, opened_at = 0, ""
    lines = lines_of(segment)
    for number, line in enumerate(lines, 1):
        try:
            record = chain.take(line, segment, number)
        except BrokenLine:
            rest = [line, *lines]
            if any(map(_is_record, rest[1:])):
                raise  # what was cut off has nothing behind it
            return (LogEnd(segment, chain, num_bytes, opened_at) if number > 1 else None), b"".join(rest)
        num_bytes += len(line)
        opened_at = opened_at or record.time
    return (LogEnd(segment, chain, num_bytes, opened_at) if num_bytes else None), b""


def _put_aside(segment: LogSegment, num_bytes: int, rest: bytes) -> PutAside:
    """Move ``rest``, which begins at ``num_bytes``, into a file of its own; on the disk before it leaves."""
    place = segment.path.with_suffix(f".torn-{num_bytes}")
    with place.open("wb") as file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(place.parent)
    with segment.path.open("r+b") as file:
        file.truncate(num_bytes)
        os.fsync(file.fileno())
    return PutAside(place.name, len(rest))


def _is_record(line: bytes) -> bool:
    try:
        read_line(line)
    except MalformedLine:
        return False
    return True
