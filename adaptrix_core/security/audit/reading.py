"""The records of a log, for whoever looks something up; verifying it is another matter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from adaptrix_core.security.audit.record import AuditRecord, MalformedLine, read_line
from adaptrix_core.security.audit.segments import lines_of, segments_of_log


def records_of(directory: Path) -> Iterator[AuditRecord]:
    """Every record, the oldest first; lines that are none are passed over. AdaptrixError (audit_log_not_found)."""
    for segment in segments_of_log(directory):
        for line in lines_of(segment):
            try:
                yield read_line(line)
            except MalformedLine:
                continue
