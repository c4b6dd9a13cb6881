"""The content blocks of Anthropic's messages, as clients send them. Other kinds are refused by their name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind, text_or_parts
from deployments.openai.neutral_fields import BLOCK, THOUGHT_BLOCK


class TextBlock(Body):
    """Text."""

    neutral = BLOCK
    type: Literal["text"]
    text: str


class ThoughtBlock(Body):
    """What some model has thought before an earlier answer: accepted and dropped, as nothing here reads it."""

    neutral = THOUGHT_BLOCK
    type: Literal["thinking", "redacted_thinking"]


class _OtherBlock(Body):
    model_config = ConfigDict(extra="ignore")
    type: Literal["text", "thinking", "redacted_thinking"]


_TAGS = {"text": "[text]", "thinking": "[thought]", "redacted_thinking": "[thought]"}


def _kind_of_block(value: object) -> str | None:
    if isinstance(value, TextBlock | ThoughtBlock):
        return _TAGS[value.type]
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    return _TAGS.get(kind, "[other]") if isinstance(kind, str) else "[other]"


Block = Annotated[
    Annotated[TextBlock, Tag("[text]")]
    | Annotated[ThoughtBlock, Tag("[thought]")]
    | Annotated[SkipJsonSchema[_OtherBlock], Tag("[other]")],
    by_kind(_kind_of_block, "should be a block, {type, …}"),
]
Blocks = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[Block], Field(max_length=MOST.message_parts, fail_fast=True), Tag("list[part]")],
    by_kind(text_or_parts, "should be text or a list of blocks"),
]
System = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[TextBlock], Field(max_length=MOST.message_parts, fail_fast=True), Tag("list[part]")],
    by_kind(text_or_parts, "should be text or a list of text blocks"),
]


def text_of(content: str | list[TextBlock] | list[Block]) -> str:
    """All text in one."""
    if isinstance(content, str):
        return content
    return "".join(block.text for block in content if isinstance(block, TextBlock))
