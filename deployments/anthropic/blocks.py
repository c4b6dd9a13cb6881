"""The content blocks of Anthropic's messages, as clients send them. Other kinds are refused by their name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind, text_or_parts
from deployments.openai.messages import CallId
from deployments.openai.neutral_fields import BLOCK, CALL_BLOCK, THOUGHT_BLOCK


class TextBlock(Body):
    """Text."""

    neutral = BLOCK
    type: Literal["text"]
    text: str


TextBlocks = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[TextBlock], Field(max_length=MOST.message_parts, fail_fast=True), Tag("list[part]")],
    by_kind(text_or_parts, "should be text or a list of text blocks"),
]


class ToolUseBlock(Body):
    """A call of a function in an earlier answer, sent back as it came."""

    neutral = CALL_BLOCK
    type: Literal["tool_use"]
    id: CallId
    name: Annotated[str, Field(min_length=1, max_length=MOST.tool_name_characters)]
    input: dict[str, Any]

    def call(self) -> dict[str, Any]:
        """The same in the chat's words."""
        arguments = json.dumps(self.input, ensure_ascii=False, separators=(",", ":"))
        return {"id": self.id, "function": {"name": self.name, "arguments": arguments}}


class ResultBlock(Body):
    """The result of a call."""

    neutral = CALL_BLOCK
    type: Literal["tool_result"]
    tool_use_id: CallId
    content: TextBlocks | None = None
    is_error: bool = False
    """Whether the call failed; the model reads ``error:`` before the content."""

    @property
    def text(self) -> str:
        """The result as the model reads it."""
        said = text_of(self.content or "")
        return f"error: {said}" if self.is_error else said


class ThoughtBlock(Body):
    """What some model has thought before an earlier answer: accepted and dropped, as nothing here reads it."""

    neutral = THOUGHT_BLOCK
    type: Literal["thinking", "redacted_thinking"]


class _OtherBlock(Body):
    model_config = ConfigDict(extra="ignore")
    type: Literal["text", "tool_use", "tool_result", "thinking", "redacted_thinking"]


_TAGS = {
    "text": "[text]",
    "tool_use": "[call]",
    "tool_result": "[result]",
    "thinking": "[thought]",
    "redacted_thinking": "[thought]",
}


def _kind_of_block(value: object) -> str | None:
    if isinstance(value, TextBlock | ToolUseBlock | ResultBlock | ThoughtBlock):
        return _TAGS[value.type]
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    return _TAGS.get(kind, "[other]") if isinstance(kind, str) else "[other]"


Block = Annotated[
    Annotated[TextBlock, Tag("[text]")]
    | Annotated[ToolUseBlock, Tag("[call]")]
    | Annotated[ResultBlock, Tag("[result]")]
    | Annotated[ThoughtBlock, Tag("[thought]")]
    | Annotated[SkipJsonSchema[_OtherBlock], Tag("[other]")],
    by_kind(_kind_of_block, "should be a block, {type, …}"),
]
Blocks = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[Block], Field(max_length=MOST.message_parts, fail_fast=True), Tag("list[part]")],
    by_kind(text_or_parts, "should be text or a list of blocks"),
]


def text_of(content: str | Sequence[object]) -> str:
    """All text in one."""
    if isinstance(content, str):
        return content
    return "".join(block.text for block in content if isinstance(block, TextBlock))
