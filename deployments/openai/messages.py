"""Chat messages as clients send them, with the calls of functions in them and their results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, Tag, ValidationInfo, field_validator, model_validator

from adaptrix_core.base.chat_options import ROLE_PATTERN
from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind, text_or_parts
from deployments.openai.neutral_fields import MESSAGE, PART, TOOL_CALL

CallId = Annotated[str, Field(min_length=1, max_length=MOST.call_id_characters)]


class CalledFunction(Body):
    """The function that a call names, and its arguments."""

    name: Annotated[str, Field(min_length=1, max_length=MOST.tool_name_characters)]
    arguments: str
    """The JSON text of the arguments, as the model wrote it; incomplete where its answer was cut."""


class ToolCall(Body):
    """A call of a function in an earlier answer, sent back as it came."""

    neutral = TOOL_CALL
    id: CallId
    type: Literal["function"] = "function"
    function: CalledFunction

    def plain(self) -> dict[str, Any]:
        """The call as chat templates take it, its arguments still text."""
        named = {"name": self.function.name, "arguments": self.function.arguments}
        return {"id": self.id, "type": "function", "function": named}


class TextPart(Body):
    """One part of a message's content; only text is supported."""

    neutral = PART
    type: Literal["text"]
    text: str


Content = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[TextPart], Field(max_length=MOST.message_parts, fail_fast=True), Tag("list[part]")],
    by_kind(text_or_parts, "should be text or a list of parts"),
]


class Message(Body):
    """One chat message. An answer's message can be sent back as it came."""

    neutral = MESSAGE
    role: Annotated[str, Field(pattern=ROLE_PATTERN)]
    """``developer`` is ``system``; others than OpenAI's go to the model's template as they are."""
    content: Content | None
    """Null, or left out, in an assistant's message: it said nothing."""
    name: str | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=MOST.message_calls, fail_fast=True)] | None = None
    """An assistant's calls of functions."""
    tool_call_id: CallId | None = None
    """In a message of role ``tool``: the call whose result it is."""

    @model_validator(mode="before")
    @classmethod
    def _assistant_may_say_nothing(cls, document: object) -> object:
        if isinstance(document, dict) and document.get("role") == "assistant":
            return {"content": None, **document}
        return document

    @field_validator("content")
    @classmethod
    def _others_say_something(cls, content: object, info: ValidationInfo) -> object:
        if content is None and info.data.get("role", "assistant") != "assistant":
            raise ValueError("should be text or a list of parts; only an assistant's message may hold none")
        return content

    @property
    def text(self) -> str:
        """All parts in one."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    @model_validator(mode="after")
    def _calls_and_results_have_their_roles(self) -> Self:
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"tool_calls are an assistant's; this message's role is {self.role!r}")
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise ValueError("tool_call_id goes with role 'tool', and with no other: send both, or neither")
        return self

    def plain(self) -> dict[str, Any]:
        """``{"role", "content"}``, and calls, as chat templates take it."""
        plain: dict[str, Any] = {"role": "system" if self.role == "developer" else self.role, "content": self.text}
        if self.tool_calls:
            plain["tool_calls"] = [call.plain() for call in self.tool_calls]
        if self.tool_call_id is not None:
            plain["tool_call_id"] = self.tool_call_id
        return plain


def _each_result_has_its_call(messages: list[Message]) -> list[Message]:
    known: set[str] = set()
    for number, message in enumerate(messages):
        if message.tool_call_id is not None and message.tool_call_id not in known:
            raise ValueError(
                f"message {number} is the result of call {message.tool_call_id!r}, which no assistant's message before "
                "it has made: send that message, with its tool_calls, too"
            )
        known.update(call.id for call in message.tool_calls or ())
    return messages


Messages = Annotated[
    list[Message],
    Field(min_length=1, max_length=MOST.messages, fail_fast=True),
    AfterValidator(_each_result_has_its_call),
]


def num_characters_of(messages: Sequence[Message]) -> int:
    """Characters of the text of messages, and of the calls in them."""
    return sum(
        len(message.text) + sum(len(call.function.arguments) for call in message.tool_calls or ())
        for message in messages
    )
