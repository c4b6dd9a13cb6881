"""Which files of a log are old enough to be removed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from adaptrix_core.security.audit.record import MalformedLine, read_line
from adaptrix_core.security.audit.segments import LogSegment, lines_of

SURE_S = 3600.0
"""Seconds for which a file has to have been too old, so that a clock that jumps ahead for a moment removes nothing."""


class Retention:
    """Files are kept for some days after their last line."""

    def __init__(self, keep_days: float | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        """keep_days: None keeps all."""
        self._keep = None if keep_days is None else timedelta(days=keep_days)
        self._monotonic = monotonic
        self._old_since: dict[int, float] = {}

    def to_remove(self, segments: Sequence[LogSegment], now: datetime) -> int:
        """How many of the segments, the oldest, are to go now. The last one never is. Raises OSError."""
        if self._keep is None:
            return 0
        old = 0
        for _, after in itertools.pairwise(segments):
            closed_at = _opened_at(after)
            if closed_at is None or now - closed_at < self._keep:
                break
            old += 1
        at, sure = self._monotonic(), 0
        since = {segment.first_seq: self._old_since.get(segment.first_seq, at) for segment in segments[:old]}
        self._old_since = since
        while sure < old and at - since[segments[sure].first_seq] >= SURE_S:
            sure += 1
        return sure


def _opened_at(segment: LogSegment) -> datetime | None:
    """When a segment was begun, by its first line, which is when the one before got its last; None if unreadable."""
    try:
        return datetime.fromisoformat(read_line(next(lines_of(segment), b"")).time)
    except (MalformedLine, ValueError):
        return None
