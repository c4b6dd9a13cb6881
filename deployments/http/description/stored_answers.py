"""The answers of the endpoints of files and batches, for the OpenAPI document (`answers.py` has the others)."""

from __future__ import annotations

from typing import Literal

from deployments.http.description.answers import Document


class FileDocument(Document):
    """A file of the caller's tenant."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["processed"]
    status_details: None


class FileList(Document):
    """A page of the tenant's files."""

    object: Literal["list"]
    data: list[FileDocument]
    first_id: str | None
    last_id: str | None
    has_more: bool


class FileDeleted(Document):
    """A file that is gone."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


class BatchFaultDocument(Document):
    """Why a batch failed as a whole."""

    code: str
    message: str
    line: int | None
    """Number of the line in the input, from 1."""
    param: None


class BatchFaults(Document):
    """All that is wrong with a batch as a whole."""

    object: Literal["list"]
    data: list[BatchFaultDocument]


class RequestCounts(Document):
    """How far a batch is."""

    total: int
    completed: int
    failed: int


class BatchDocument(Document):
    """A batch of the caller's tenant. Times are in seconds since the epoch."""

    id: str
    object: Literal["batch"]
    endpoint: str
    errors: BatchFaults | None
    input_file_id: str
    completion_window: str
    status: Literal[
        "validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"
    ]
    output_file_id: str | None
    """Once it is over: the answers, in the order of the input; null where there are none."""
    error_file_id: str | None
    """Once it is over: the lines that have an error in place of an answer."""
    created_at: int
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: RequestCounts
    metadata: dict[str, str] | None


class BatchList(Document):
    """A page of the tenant's batches."""

    object: Literal["list"]
    data: list[BatchDocument]
    first_id: str | None
    last_id: str | None
    has_more: bool
