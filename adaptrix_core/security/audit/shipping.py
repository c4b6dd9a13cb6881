"""Checkpoints shipped elsewhere: to a directory that the log's disk cannot change, and into the server's own log.

As lines of JSON, whose field ``audit_checkpoint`` is the signed note: so a file of them, and a log of the server's as a
collector keeps it, can be given to `adaptrix audit verify --since` alike. A place that cannot be reached holds nothing
up: the next checkpoint vouches for all before it.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adaptrix_core.errors import AdaptrixError
from adaptrix_core.security.audit.checkpoint import ORIGIN, BadCheckpoint, Checkpoint, notes_in, open_note
from adaptrix_core.security.audit.segments import sync_directory

logger = logging.getLogger(__name__)

FIELD = "audit_checkpoint"
"""The field of a line of JSON that holds a signed note."""

TAIL_BYTES = 64 * 1024
"""Of a file of checkpoints, what is read for the last one."""


class Shipping:
    """Where the checkpoints of one log go."""

    def __init__(self, directory: Path | None = None, to_server_log: bool = False) -> None:
        self._directory = directory
        self._to_server_log = to_server_log
        self.failed = 0
        """Times that a checkpoint could not be written to the directory."""

    def ship(self, checkpoint: Checkpoint, note: str) -> None:
        """Send a checkpoint to every place. A directory that cannot be written to is reported in the log."""
        if self._to_server_log:
            logger.info("audit checkpoint of %d lines", checkpoint.size, extra={"fields": {FIELD: note}})
        if self._directory is not None:
            try:
                _append(file_of(self._directory, checkpoint.log_id), note)
            except OSError as error:
                self.failed += 1
                logger.error("audit checkpoint of %d lines not shipped: %s", checkpoint.size, error)

    def last_of(self, log_id: str, key: Ed25519PublicKey) -> Checkpoint | None:
        """The last checkpoint of a log in the directory; None where there is none that ``key`` has signed."""
        if self._directory is None:
            return None
        try:
            with file_of(self._directory, log_id).open("rb") as file:
                file.seek(-min(TAIL_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
                lines = file.read().decode(errors="replace").split("\n")
        except OSError as error:
            logger.warning("audit log: no shipped checkpoint to compare with: %s", error)
            return None
        for note in _fields(reversed(lines)):
            with suppress(BadCheckpoint):
                return open_note(note, [key])
        return None


def file_of(directory: Path, log_id: str) -> Path:
    """The file that holds the checkpoints of a log."""
    return directory / f"{ORIGIN.rstrip('/').replace('/', '-')}-{log_id}.jsonl"


def notes_from(path: Path) -> list[str]:
    """The signed notes in a file: as they are, or in lines of JSON, among anything else. Raises OSError."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return [*notes_in(text), *_fields(text.split("\n"))]


def checkpoints_file(path: Path) -> list[str]:
    """As `notes_from`. Raises AdaptrixError (bad_checkpoint) where there is none."""
    notes = notes_from(path)
    if not notes:
        raise AdaptrixError(
            f"{path} holds no checkpoint; give a file of signed notes, or of lines of JSON with the field {FIELD}",
            code="bad_checkpoint",
        )
    return notes


def _fields(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if FIELD not in line:
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):
            continue  # a half-written line, or none of ours
        for place in (document, document.get("adaptrix") if isinstance(document, dict) else None):  # as ECS has it
            if isinstance(place, dict) and isinstance(place.get(FIELD), str):
                yield place[FIELD]


def _append(path: Path, note: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a+b") as file:
        file.seek(-1 if file.tell() else 0, os.SEEK_END)
        half_written = b"" if file.read(1) in (b"", b"\n") else b"\n"
        file.write(half_written + json.dumps({FIELD: note}).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_directory(path.parent)
