"""Verifies a log on disk: every line, every checkpoint in it, and checkpoints that were shipped elsewhere.

Needs the public key alone, and a directory that may be a copy. A server may be writing to it meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adaptrix_core.security.audit.chain import BrokenChain, BrokenLine, Chain, Place
from adaptrix_core.security.audit.checkpoint import Checkpoint
from adaptrix_core.security.audit.record import START, AuditRecord
from adaptrix_core.security.audit.segments import LogSegment, lines_of, segments_of_log


@dataclass(frozen=True)
class Verified:
    """A log in which nothing is wrong."""

    log_id: str
    first_seq: int
    """The first line that was looked at."""
    size: int
    """Lines since the log began."""
    checkpoint: Checkpoint
    """The last one in the log."""
    unsigned: int
    """Lines behind it, which nothing vouches for yet."""
    half_written: Place | None
    """The last line, where it has no end: it is being written, or writing it was cut off."""
    confirmed: tuple[Checkpoint, ...]
    """Those of the given checkpoints that the log agrees with."""
    older: int
    """Given checkpoints of lines that have been removed since; they could not be compared."""


def verify_log(directory: Path, keys: Sequence[Ed25519PublicKey], since: Sequence[Checkpoint] = ()) -> Verified:
    """Verify the log in a directory.

    since: checkpoints from elsewhere. The log has to agree with them, and is read only from the file on in which the
    first of them lies. Raises BrokenChain at the first bad line, AdaptrixError (audit_log_not_found), OSError.
    """
    segments = segments_of_log(directory)
    walked = _walked(segments, since)
    chain, compared = Chain(keys), _Compared(since)
    half_written = None
    for segment in walked:
        for number, line, is_end in _numbered(segment, is_last=segment is walked[-1]):
            try:
                record = chain.take(line, segment, number)
            except BrokenLine as error:
                if not is_end or line.endswith(b"\n"):
                    raise
                half_written = error.place
                continue
            compared.look(chain, record)
    if chain.checkpoint is None:
        raise BrokenChain(Place(walked[0].path.name, 1, walked[0].first_seq), "no line of it is whole")
    if walked[0] is segments[0] and segments[0].first_seq > chain.removed_before:
        place = Place(walked[0].path.name, 1, walked[0].first_seq)
        raise BrokenChain(place, "the lines before it are gone, and the log does not say that they were removed")
    compared.finish(chain, walked[-1])
    return Verified(
        log_id=chain.log_id,
        first_seq=walked[0].first_seq,
        size=chain.seq,
        checkpoint=chain.checkpoint,
        unsigned=chain.unsigned,
        half_written=half_written,
        confirmed=tuple(compared.confirmed),
        older=compared.older,
    )


def _walked(segments: Sequence[LogSegment], since: Sequence[Checkpoint]) -> Sequence[LogSegment]:
    """The segments to read: with checkpoints, from the last one on that begins at or before the first of them."""
    if not since:
        return segments
    first = min(checkpoint.size for checkpoint in since)
    before = [index for index, segment in enumerate(segments) if segment.first_seq <= first]
    return segments[before[-1] if before else 0 :]


def _numbered(segment: LogSegment, is_last: bool) -> Iterator[tuple[int, bytes, bool]]:
    """(number from 1, line, whether it is the last one of the log). Raises BrokenChain for what is no file."""
    place = Place(segment.path.name, 1, segment.first_seq)
    if not segment.path.is_file():  # a pipe would be waited on for ever
        raise BrokenChain(place, "it is not a file")
    held: tuple[int, bytes] | None = None
    for number, line in enumerate(lines_of(segment), 1):
        if held is not None:
            yield (*held, False)
        held = number, line
    if held is None and not is_last:
        raise BrokenChain(place, "the file is empty")
    yield (*(held or (1, b"")), is_last)


class _Compared:
    """Checkpoints from elsewhere, compared with the lines as they go by."""

    def __init__(self, since: Sequence[Checkpoint]) -> None:
        self._due = sorted(since, key=lambda checkpoint: checkpoint.size)
        self._is_given = bool(since)
        self.confirmed: list[Checkpoint] = []
        self.older = 0

    def look(self, chain: Chain, record: AuditRecord) -> None:
        """Compare with the lines up to ``record``, which the chain has just taken."""
        while self._due and self._due[0].size <= chain.seq:
            checkpoint = self._due[0]
            known = {record.seq: record.prev, chain.seq: chain.head, 0: START}.get(checkpoint.size)
            if known is None:
                self.older += 1
            elif (checkpoint.log_id, checkpoint.head) != (chain.log_id, known):
                raise BrokenChain(
                    Place("checkpoint", checkpoint.size, checkpoint.size),
                    f"the checkpoint of {checkpoint.size} lines, of {checkpoint.time}, is of another log: this one was "
                    "rewritten, or begun anew",
                )
            else:
                self.confirmed.append(checkpoint)
            del self._due[0]

    def finish(self, chain: Chain, last: LogSegment) -> None:
        """Raise BrokenChain where checkpoints are left over, or none could be compared."""
        place = Place(last.path.name, chain.seq - last.first_seq + 1, chain.seq)
        if self._due:
            furthest = self._due[-1]
            raise BrokenChain(
                place,
                f"the log ends before it, but had {furthest.size} lines at {furthest.time}: it was cut off",
            )
        if self._is_given and not self.confirmed:
            raise BrokenChain(place, "the checkpoints are all of lines that were removed; give a newer one")
