"""Audit logs to test with: a directory, its key, and a place that checkpoints are shipped to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adaptrix_core.security.audit.chain import BrokenChain
from adaptrix_core.security.audit.checkpoint import Checkpoint, open_note
from adaptrix_core.security.audit.log import AuditLog
from adaptrix_core.security.audit.record import Actor, AuditEvent, AuditRecord, hash_of, read_line
from adaptrix_core.security.audit.retention import Retention
from adaptrix_core.security.audit.segments import lines_of, segments_in
from adaptrix_core.security.audit.shipping import Shipping, notes_from
from adaptrix_core.security.audit.verification import Verified, verify_log

SMALL = 4000
"""Bytes of a file, so that a log of some dozen lines has several."""


def event(number: int, outcome: str = "done") -> AuditEvent:
    actor = Actor(tenant="team-a", key_id="ci")
    return AuditEvent("adapter.load", "done", actor, f"math@{number}", "ab" * 32, f"req-{number}", {"n": number})


@dataclass
class Kept:
    """A log in ``root``, and what an outsider has of it."""

    root: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    now: Callable[[], float] = lambda: 1_800_000_000.0

    @property
    def directory(self) -> Path:
        return self.root / "audit"

    @property
    def elsewhere(self) -> Path:
        return self.root / "elsewhere"

    def open(self, segment_bytes: int = SMALL, retention: Retention | None = None, ships: bool = True) -> AuditLog:
        shipping = Shipping(self.elsewhere) if ships else Shipping()
        return AuditLog(self.directory, self.key, segment_bytes, retention, shipping, self.now)

    def write(self, count: int, first: int = 0, together: int = 1, ships: bool = True) -> None:
        """Some events, and a checkpoint of them."""
        log = self.open(ships=ships)
        for number in range(first, first + count, together):
            log.append([event(n) for n in range(number, number + together)])
        log.checkpoint()
        log.close()

    def shipped(self) -> list[Checkpoint]:
        files = sorted(self.elsewhere.iterdir())
        return [open_note(note, [self.public]) for path in files for note in notes_from(path)]

    @property
    def public(self) -> Ed25519PublicKey:
        return self.key.public_key()

    def verify(self, since: Sequence[Checkpoint] = ()) -> Verified:
        return verify_log(self.directory, [self.public], since)

    def fault(self, since: Sequence[Checkpoint] = ()) -> BrokenChain | None:
        try:
            self.verify(since)
        except BrokenChain as error:
            return error
        return None

    def lines(self) -> list[tuple[Path, int, bytes]]:
        """(file, index in it, line) of every line of the log."""
        return [
            (segment.path, index, line)
            for segment in segments_in(self.directory)
            for index, line in enumerate(lines_of(segment))
        ]

    def records(self) -> list[AuditRecord]:
        return [read_line(line) for _, _, line in self.lines()]


def rewrite(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def changed(line: bytes, **fields: object) -> bytes:
    """A line with other fields, in the one form of lines."""
    document = {**json.loads(line), **fields}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def chained_anew(lines: list[bytes], prev: str) -> list[bytes]:
    """The lines as somebody without the key can make them follow each other again."""
    made = []
    for line in lines:
        made.append(changed(line, prev=prev))
        prev = hash_of(made[-1])
    return made
