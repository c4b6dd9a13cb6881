"""The answers of the endpoints of files, for the OpenAPI document (`answers.py` has the others)."""

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
