"""The chain, line after line: numbers without a gap, each line's hash in the next one, checkpoints that fit.

Both who verifies a log and who opens it to write walk along it here. The log's own lines are these:

    log.segment     the first of each file: the checkpoint of all before it, so that what remains can be verified when
                    files before it have been removed
    log.checkpoint  the checkpoint of all before it
    log.retention   files with lines before a number are removed
    log.recovered   a half-written end was put aside
    log.dropped     so many events could not be recorded
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adaptrix_core.security.audit.checkpoint import BadCheckpoint, Checkpoint, open_note
from adaptrix_core.security.audit.record import START, AuditRecord, MalformedLine, hash_of, read_line
from adaptrix_core.security.audit.segments import LogSegment

SEGMENT = "log.segment"
CHECKPOINT = "log.checkpoint"
RETENTION = "log.retention"
RECOVERED = "log.recovered"
DROPPED = "log.dropped"

NOTE = "note"
"""The detail of a line that holds a signed checkpoint."""
BEFORE = "before"
"""The detail of a line of retention: lines before this number are removed."""

CHECKPOINT_LINES = 256
"""Lines that may follow each other without a checkpoint. Who writes signs by then; more of them are a fault."""


@dataclass(frozen=True)
class Place:
    """Where a line stands."""

    file: str
    line: int
    """From 1."""
    seq: int
    """The number that is due there."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} (number {self.seq})"


class BrokenChain(Exception):
    """A log that is not as it was written, at ``place``: the first bad line, or the first that may be."""

    def __init__(self, place: Place, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class BrokenLine(BrokenChain):
    """A line that is no record at all, as the one at the end is where writing it was cut off."""


class Chain:
    """What is known of the log up to the line that was taken last."""

    def __init__(self, keys: Sequence[Ed25519PublicKey]) -> None:
        """keys: those that may have signed its checkpoints."""
        self._keys = keys
        self._previous: Place | None = None
        self._first_unsigned: Place | None = None
        self.log_id = ""
        self.seq = 0
        """The number that is due next."""
        self.head = START
        """Hash of the last line."""
        self.unsigned = 0
        """Lines since the last checkpoint, which itself is not counted."""
        self.checkpoint: Checkpoint | None = None
        """The last one."""
        self.removed_before = 0
        """Lines before this number may be gone, by what the lines say."""

    def take(self, line: bytes, segment: LogSegment, number: int) -> AuditRecord:
        """The record in the next line, which is the ``number``-th of ``segment``. Raises BrokenChain."""
        if self._previous is None:
            self.seq = segment.first_seq
        place = Place(segment.path.name, number, self.seq)
        try:
            record = read_line(line)
        except MalformedLine as error:
            raise BrokenLine(place, str(error)) from error
        self._require_number(record, line, place, segment, number)
        self._require_next(record, place, number)
        self._note(record, place)
        self._previous = place
        self.seq += 1
        self.head = hash_of(line)
        return record

    def _require_number(self, record: AuditRecord, line: bytes, place: Place, segment: LogSegment, number: int) -> None:
        if self._previous is not None and record.seq == self.seq - 1 and hash_of(line) != self.head:
            raise BrokenChain(self._previous, "it was put in: the line after it has the same number")
        if record.seq != self.seq or (number == 1 and record.seq != segment.first_seq):
            raise BrokenChain(
                place, f"it carries the number {record.seq}: lines, or files, were removed, added or moved"
            )

    def _require_next(self, record: AuditRecord, place: Place, number: int) -> None:
        if self._previous is None and record.seq > 0:
            self.head = record.prev  # what was before has been removed; the checkpoint in this line vouches for it
        if record.prev != self.head:
            raise BrokenChain(self._previous or place, "it was changed: the line after it carries another hash of it")
        if (number == 1) != (record.action == SEGMENT):
            raise BrokenChain(place, f"a file begins with {SEGMENT}, and nothing else does")

    def _note(self, record: AuditRecord, place: Place) -> None:
        """Take in what the line says of the log itself."""
        if record.action in (SEGMENT, CHECKPOINT):
            self._check(record, place)
            return
        self.unsigned += 1
        self._first_unsigned = self._first_unsigned or place
        if self.unsigned > CHECKPOINT_LINES:
            raise BrokenChain(place, f"more than {CHECKPOINT_LINES} lines have no checkpoint: checkpoints were removed")
        before = record.details.get(BEFORE)
        if record.action == RETENTION and isinstance(before, int):
            self.removed_before = max(self.removed_before, before)

    def _check(self, record: AuditRecord, place: Place) -> None:
        try:
            checkpoint = open_note(str(record.details.get(NOTE)), self._keys)
        except BadCheckpoint as error:
            raise BrokenChain(place, f"its checkpoint cannot be relied upon: {error}") from error
        self.log_id = self.log_id or checkpoint.log_id
        if checkpoint.log_id != self.log_id:
            raise BrokenChain(place, f"its checkpoint is one of another log, {checkpoint.log_id}")
        if (checkpoint.size, checkpoint.head) != (self.seq, self.head):
            first = self._first_unsigned or place
            raise BrokenChain(
                first, f"a line from this one to {place} was changed: the checkpoint there is of other lines"
            )
        self.checkpoint = checkpoint
        self.unsigned, self._first_unsigned = 0, None
