"""The answers of ``/v1/messages``, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Literal

from deployments.http.description.answers import Document
from deployments.http.description.response_answers import RespondedBy

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]


class AnthropicErrorBody(Document):
    """An error."""

    type: str
    message: str
    """What, the value, the limit and the next step."""


class AnthropicError(Document):
    """Every error of Anthropic's endpoints."""

    type: Literal["error"]
    error: AnthropicErrorBody


class TextBlockDocument(Document):
    """What the answer says. May be sent back as it is."""

    type: Literal["text"]
    text: str
    citations: None


class ToolUseDocument(Document):
    """A call of a function. May be sent back as it is, with its result."""

    type: Literal["tool_use"]
    id: str
    """What the result names."""
    name: str
    input: dict[str, Any]
    """The arguments, held to the function's schema; members are missing where the answer was cut."""


class MessageUsageDocument(Document):
    """Tokens. Those of the whole prompt are the first three numbers together."""

    input_tokens: int
    """Tokens of the prompt that were computed."""
    cache_read_input_tokens: int
    """Tokens that needed no computing, as their keys and values were in the cache."""
    cache_creation_input_tokens: int
    """Always 0: nothing is charged for what the cache keeps."""
    output_tokens: int
    service_tier: Literal["standard"] | None = None


class MessageDocument(Document):
    """The answer of ``POST /v1/messages``."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    """Who answered: the base model's id, an adapter or a mix."""
    content: list[TextBlockDocument | ToolUseDocument]
    stop_reason: StopReason | None
    """Null in the first event of a stream."""
    stop_sequence: str | None
    usage: MessageUsageDocument
    adaptrix: RespondedBy | None = None


class MessageDelta(Document):
    """What an event adds: text to a block, or the reason of the end to the message."""

    type: Literal["text_delta", "input_json_delta"] | None = None
    text: str | None = None
    partial_json: str | None = None
    """A further part of the JSON text of a call's arguments."""
    stop_reason: StopReason | None = None
    stop_sequence: str | None = None


class TokenCount(Document):
    """The answer of ``POST /v1/messages/count_tokens``."""

    input_tokens: int


class MessageEvent(Document):
    """One event of a streamed message; which other members it has depends on its type."""

    type: str
    message: MessageDocument | None = None
    index: int | None = None
    content_block: TextBlockDocument | ToolUseDocument | None = None
    delta: MessageDelta | None = None
    usage: MessageUsageDocument | None = None
    error: AnthropicErrorBody | None = None
