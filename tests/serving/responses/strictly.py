"""Reads documents by the types of OpenAI's client, and fails for members that these do not have."""

from __future__ import annotations

from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

OURS = {"store", "adaptrix"}
"""Members that OpenAI's API sends and the client's type lacks, or that are this server's own."""
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def unknown_members(value: Any, place: str = "") -> list[str]:
    """Places of everything that was sent and has no field in the client's types."""
    if isinstance(value, list):
        return [name for number, one in enumerate(value) for name in unknown_members(one, f"{place}.{number}")]
    if not isinstance(value, BaseModel):
        return []
    known = [name for field, one in value for name in unknown_members(one, f"{place}.{field}")]
    return [f"{place}.{name}" for name in (value.model_extra or {}) if name not in OURS] + known


def response(document: dict[str, Any]) -> Response:
    """The response in a document."""
    read = Response.model_validate(document)
    assert unknown_members(read) == []
    return read


def event(document: dict[str, Any]) -> Any:
    """The event in a document."""
    read = EVENT.validate_python(document)
    assert read.type == document["type"]
    assert unknown_members(read) == []
    return read
