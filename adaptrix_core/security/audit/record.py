"""One line of the audit log: who did what to what, and how it ended; its one form as bytes, and its hash.

A line is a JSON object with sorted keys, without spaces, in ASCII (so that a terminal shows control characters and
turned text as what they are), and a newline. It carries its number and the SHA-256 of the line before, newline
included. Never in a line: prompts, answers, keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Outcome = Literal["asked", "done", "refused", "failed", "noted"]
"""``asked``: about to be done. ``done``, ``failed``: how that ended. ``refused``: not permitted. ``noted``: what
the log says of itself."""

START = "0" * 64
"""What stands for the hash of the line before the first one."""

LINE_BYTES = 256 * 1024
"""Longest line that is read; the limits below keep every line that is written under it."""
MOST_CHARACTERS = 512
"""Of one text in a line: names come from callers. What is longer is cut, and says so."""
MOST_DETAILS = 12

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = TypeVar("Text", str, None, "str | None")


class Actor(BaseModel):
    """Who did it: a tenant, and the id of its key, which is no secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    tenant: str
    key_id: str


@dataclass(frozen=True)
class AuditEvent:
    """What is to be recorded. Texts may be of any length and hold anything; a line holds them bounded."""

    action: str
    """What is done, as ``noun.verb``: ``adapter.load``."""
    outcome: Outcome
    actor: Actor | None = None
    """None where nobody was recognised, or the log speaks of itself."""
    target: str = ""
    """What it is done to, by its public name."""
    package_digest: str | None = None
    request_id: str | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)


class AuditRecord(BaseModel):
    """A line that was written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seq: Annotated[int, Field(ge=0)]
    """Its number in the log, from 0. This is the order; clocks go backwards at times."""
    time: str
    """ISO 8601, UTC, by the clock of the machine that wrote it."""
    action: str
    outcome: Outcome
    actor: Actor | None
    target: str
    package_digest: str | None
    request_id: str | None
    details: dict[str, str | int]
    prev: Hash
    """SHA-256 of the line before."""

    def is_after(self, moment: datetime) -> bool:
        """Whether it was written after ``moment``, by the clock that wrote it; False where its time is none."""
        try:
            return datetime.fromisoformat(self.time) > moment
        except (ValueError, TypeError):
            return False

    def line(self) -> bytes:
        """The one form of this record, with its newline."""
        return _canonical(self.model_dump()) + b"\n"


class MalformedLine(ValueError):
    """A line that is no record in its one form; the message says why."""


def record_of(event: AuditEvent, seq: int, time: str, prev: str) -> AuditRecord:
    """The record of an event at its place in the log."""
    actor = event.actor
    return AuditRecord(
        seq=seq,
        time=time,
        action=_bounded(event.action),
        outcome=event.outcome,
        actor=None if actor is None else Actor(tenant=_bounded(actor.tenant), key_id=_bounded(actor.key_id)),
        target=_bounded(event.target),
        package_digest=_bounded(event.package_digest),
        request_id=_bounded(event.request_id),
        details=_bounded_details(event.details),
        prev=prev,
    )


def read_line(line: bytes) -> AuditRecord:
    """The record in a line, given with its newline. Raises MalformedLine for anything but the one form of one."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MalformedLine("it is no JSON") from error
    if _canonical(document) + b"\n" != line:
        raise MalformedLine("it is not in the one form that lines are written in")
    try:
        return AuditRecord.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise MalformedLine(f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}") from error


def hash_of(line: bytes) -> str:
    """The hash that the next line carries."""
    return hashlib.sha256(line).hexdigest()


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _bounded_details(details: Mapping[str, str | int]) -> dict[str, str | int]:
    kept = list(details.items())[:MOST_DETAILS]
    return {_bounded(name): int(value) if isinstance(value, int) else _bounded(value) for name, value in kept}


def _bounded(text: Text) -> Text:
    """``text`` cut to the longest that is kept, with the number of characters that are missing.

    Halves of surrogate pairs, which no UTF-8 text has, become question marks.
    """
    if text is None:
        return text
    whole = text.encode("utf-8", "replace").decode()
    missing = len(whole) - MOST_CHARACTERS
    return whole if missing <= 0 else f"{whole[:MOST_CHARACTERS]}... and {missing} characters"
