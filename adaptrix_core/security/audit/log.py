"""The open log, which one process at a time writes: lines are on the disk when `append` returns, or not in the log.

A file that is full is followed by the next, whose first line is a signed checkpoint of all before; between them there
is a checkpoint at least every `CHECKPOINT_LINES` lines.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adaptrix_core.errors import AuditUnavailable
from adaptrix_core.security.audit.chain import (
    BEFORE,
    CHECKPOINT,
    CHECKPOINT_LINES,
    NOTE,
    RECOVERED,
    RETENTION,
    SEGMENT,
    BrokenChain,
    Place,
)
from adaptrix_core.security.audit.checkpoint import Checkpoint, sign
from adaptrix_core.security.audit.opening import LogEnd, find_end
from adaptrix_core.security.audit.record import START, AuditEvent, AuditRecord, hash_of, record_of
from adaptrix_core.security.audit.retention import Retention
from adaptrix_core.security.audit.segment_file import SegmentFile
from adaptrix_core.security.audit.segments import segment_at, segments_in, sync_directory
from adaptrix_core.security.audit.shipping import Shipping
from adaptrix_core.security.audit.verification import verify_log

logger = logging.getLogger(__name__)

SEGMENT_AGE = timedelta(days=1)
"""Age at which a file is followed by the next, though it is not full: only whole files can be removed."""


@dataclass(frozen=True)
class _End:
    """What the next line depends on. Everything before is on the disk."""

    log_id: str
    seq: int = 0
    head: str = START
    unsigned: int = 0


class AuditLog:
    """The log in one directory. Not for several threads at once (`AuditWriter` is)."""

    def __init__(
        self,
        directory: Path,
        key: Ed25519PrivateKey,
        segment_bytes: int,
        retention: Retention | None = None,
        shipping: Shipping | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """segment_bytes: size at which a file is followed by the next. now: seconds since 1970."""
        self._directory = directory
        self._key = key
        self._segment_bytes = segment_bytes
        self._retention = retention or Retention(None)
        self._shipping = shipping or Shipping()
        self._now = now
        self._lock: int | None = None
        self._file: SegmentFile | None = None
        self._begun_at = datetime.fromtimestamp(0, UTC)
        """When the file that is written was begun."""
        self._end = _End("")

    def append(self, events: Sequence[AuditEvent]) -> None:
        """Write events: all are on the disk when this returns.

        Raises AuditUnavailable, after which none of them counts as recorded.
        """
        try:
            file = self._file or self._open()
            if file.num_bytes >= self._segment_bytes or abs(self._moment() - self._begun_at) >= SEGMENT_AGE:
                file = self._rotate(file)
            self._write(file, events)
        except BrokenChain as error:
            self.close()
            raise AuditUnavailable(
                f"the audit log is not as it was written, so nothing is added to it: {error}; keep {self._directory} "
                "as evidence (`adaptrix audit verify`), and name an empty directory (audit.dir)"
            ) from error
        except OSError as error:
            if self._file is None or not self._file.is_sound:
                self.close()  # opened anew next time, from what is really there
            raise AuditUnavailable(
                f"the audit log cannot be written: {error.strerror or error}; see to {self._directory} and its disk"
            ) from error

    def checkpoint(self, even_if_silent: bool = False) -> bool:
        """Sign and ship where the log is, and say so, if a line has been written since the last time.

        even_if_silent: if none has been too, which proves that there was nothing. Raises AuditUnavailable.
        """
        is_due = self._file is not None and (self._end.unsigned > 0 or even_if_silent)
        if is_due:
            self.append([AuditEvent(CHECKPOINT, "noted")])
        return is_due

    def remove_old(self) -> None:
        """Remove the files that retention lets go, which the log says before. Raises AuditUnavailable, OSError."""
        segments = segments_in(self._directory) if self._file is not None else []
        count = self._retention.to_remove(segments, self._moment())
        if count:
            kept_from = segments[count].first_seq
            self.append([AuditEvent(RETENTION, "noted", details={BEFORE: kept_from, "files": count})])
            for segment in segments[:count]:
                segment.path.unlink(missing_ok=True)
            sync_directory(self._directory)
            logger.info("audit log: %d files with lines before %d removed", count, kept_from)

    def close(self) -> None:
        """Let go of the files; the next `append` opens them again."""
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            os.close(self._lock)
        self._file = self._lock = None

    def _open(self) -> SegmentFile:
        """Find the end, or begin a log. Raises BrokenChain, OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._directory / ".lock", os.O_RDWR | os.O_CREAT, 0o640)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(errno.EBUSY, "another process writes it") from error
        end, aside = find_end(self._directory, [self._key.public_key()])
        self._require_known(end)
        file = self._begin_log() if end is None else self._take_up(end)
        for torn in aside:
            logger.warning("audit log: a half-written end of %d bytes is now in %s", torn.num_bytes, torn.file)
            told = AuditEvent(RECOVERED, "noted", details={"file": torn.file, "bytes": torn.num_bytes})
            self._write(file, [told])
        return file

    def _require_known(self, end: LogEnd | None) -> None:
        """Raise BrokenChain unless the log still has all that this process, or the shipped checkpoints, know of it."""
        known = self._end
        if known.seq and (end is None or end.chain.log_id != known.log_id or end.chain.seq < known.seq):
            place = Place(segment_at(self._directory, 0).path.name, 1, known.seq)
            raise BrokenChain(place, f"the log {known.log_id} had {known.seq} lines, and has been removed or cut off")
        shipped = self._shipping.last_of(end.chain.log_id, self._key.public_key()) if end is not None else None
        if shipped is not None:
            verify_log(self._directory, [self._key.public_key()], [shipped])

    def _begin_log(self) -> SegmentFile:
        self._end = _End(token_hex(8))
        logger.warning("audit log: a new one, %s, begins in %s", self._end.log_id, self._directory)
        return self._begin_segment()

    def _take_up(self, end: LogEnd) -> SegmentFile:
        with suppress(ValueError):  # a time that is none: the next file follows at once
            self._begun_at = datetime.fromisoformat(end.opened_at)
        self._end = _End(end.chain.log_id, end.chain.seq, end.chain.head, end.chain.unsigned)
        self._file = SegmentFile(end.segment, end.num_bytes)
        return self._file

    def _rotate(self, full: SegmentFile) -> SegmentFile:
        file = self._begin_segment()
        full.close()
        return file

    def _begin_segment(self) -> SegmentFile:
        record, checkpoint, note = self._signed(SEGMENT, self._end)
        self._file = SegmentFile.begin(segment_at(self._directory, record.seq), record.line())
        self._begun_at = self._moment()
        self._end = _after(self._end, record)
        self._shipping.ship(checkpoint, note)
        return self._file

    def _write(self, file: SegmentFile, events: Sequence[AuditEvent]) -> None:
        end, lines, signed = self._end, [], []
        due = deque(events)
        while due:
            if due[0].action == CHECKPOINT or end.unsigned >= CHECKPOINT_LINES:
                record, checkpoint, note = self._signed(CHECKPOINT, end)
                signed.append((checkpoint, note))
            else:
                record = record_of(due[0], end.seq, _text(self._moment()), end.head)
            if record.action == due[0].action:
                due.popleft()
            lines.append(record.line())
            end = _after(end, record)
        file.append(b"".join(lines))
        self._end = end
        for checkpoint, note in signed:
            self._shipping.ship(checkpoint, note)

    def _signed(self, action: str, end: _End) -> tuple[AuditRecord, Checkpoint, str]:
        """The line that states what is before it, and the checkpoint in it."""
        time_now = _text(self._moment())
        checkpoint = Checkpoint(end.log_id, end.seq, end.head, time_now)
        note = sign(checkpoint, self._key)
        event = AuditEvent(action, "noted", details={NOTE: note})
        return record_of(event, end.seq, time_now, end.head), checkpoint, note

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def _after(end: _End, record: AuditRecord) -> _End:
    unsigned = 0 if record.action in (SEGMENT, CHECKPOINT) else end.unsigned + 1
    return _End(end.log_id, record.seq + 1, hash_of(record.line()), unsigned)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
