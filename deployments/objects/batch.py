"""A batch as it is kept and handed between processes: what was asked for, how far it is, and where its answers are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Status = Literal["validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"]
OVER: tuple[Status, ...] = ("completed", "failed", "expired", "cancelled")
"""Statuses that stay."""


@dataclass(frozen=True)
class BatchFault:
    """Why a batch failed as a whole."""

    code: str
    message: str
    line: int | None = None
    """Number of the line in the input, from 1."""


@dataclass(frozen=True)
class LineCounts:
    """How many lines a batch has, and how many of them are answered."""

    total: int = 0
    completed: int = 0
    failed: int = 0


@dataclass(frozen=True)
class BatchAsked:
    """What is asked for with a new batch."""

    endpoint: str
    input_file_id: str
    completion_window: str
    output_ttl_s: float
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True)
class BatchRecord:
    """One batch."""

    batch_id: str
    tenant: str
    endpoint: str
    """Path that its lines are for."""
    input_file_id: str
    completion_window: str
    created_at: int
    """Seconds since the epoch, like the other times."""
    expires_at: int
    """When what is not answered yet is given up."""
    output_ttl_s: float
    """Seconds for which its answers are kept."""
    metadata: Mapping[str, str] | None = None
    status: Status = "validating"
    times: Mapping[str, int] = field(default_factory=dict)
    """When it got each status that it has had since the first one."""
    faults: tuple[BatchFault, ...] = ()
    output_file_id: str | None = None
    error_file_id: str | None = None
    counts: LineCounts = LineCounts()

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change."""
        return self.status in OVER

    def became(self, status: Status, now: float) -> BatchRecord:
        """The same batch with another status from now on."""
        return replace(self, status=status, times={**self.times, status: int(now)})

    def to_json(self) -> bytes:
        """The form in which it is kept."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> BatchRecord:
        """The batch that was kept in this form."""
        kept: dict[str, Any] = json.loads(data)
        faults = tuple(BatchFault(**fault) for fault in kept.pop("faults"))
        return cls(**{**kept, "faults": faults, "counts": LineCounts(**kept["counts"])})


@dataclass(frozen=True)
class BatchPage:
    """Some of a tenant's batches, in order."""

    batches: tuple[BatchRecord, ...]
    has_more: bool
