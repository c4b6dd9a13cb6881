"""The answers of ``/v1/conversations``, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from deployments.http.description.answers import Document


class ConversationDocument(Document):
    """A conversation of the caller's tenant."""

    id: str
    object: Literal["conversation"]
    created_at: int
    metadata: dict[str, str]


class ConversationDeleted(Document):
    """A conversation that is gone."""

    id: str
    object: Literal["conversation.deleted"]
    deleted: Literal[True]


class ConversationItemDocument(Document):
    """An item; which other members it has depends on its type."""

    id: str
    type: Literal["message", "function_call", "function_call_output"]
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: list[Any] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None
