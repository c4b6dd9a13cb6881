"""The items of a conversation as OpenAI's Responses API takes them: messages, calls, and references to earlier ones.

Knows the forms that clients send. Whatever the form, an item becomes one plain document (`document`), in which it is
kept, listed and translated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind, text_or_parts
from deployments.openai.messages import CallId
from deployments.openai.neutral_fields import CALL_ITEM, ITEM, ITEM_PART, REASONING_ITEM

ItemDocument = dict[str, Any]
"""An item in the one form in which it is kept: all of its text in lists of parts."""


class InputTextPart(Body):
    """Text of a user, a system or a developer."""

    neutral = ITEM_PART
    type: Literal["input_text"]
    text: str

    def document(self) -> ItemDocument:
        """The part as it is kept."""
        return {"type": "input_text", "text": self.text}


class OutputTextPart(Body):
    """Text of an earlier answer, sent back."""

    neutral = ITEM_PART
    type: Literal["output_text"]
    text: str

    def document(self) -> ItemDocument:
        """The part as it is kept."""
        return output_text(self.text)


class RefusalPart(Body):
    """An earlier refusal, sent back; to the model it is text."""

    type: Literal["refusal"]
    refusal: str

    @property
    def text(self) -> str:
        """The refusal."""
        return self.refusal

    def document(self) -> ItemDocument:
        """The part as it is kept."""
        return output_text(self.refusal)


def output_text(text: str, logprobs: list[Any] | None = None) -> ItemDocument:
    """A part of an answer."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs or []}


class _OtherPart(Body):
    """A part of another kind, which is refused by its name."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["input_text", "output_text", "refusal"]


def _tag(kind: object, known: Sequence[str]) -> str:
    """The tag of a member of a union: no identifier, so that faults are told without it (`http/faults.py`)."""
    return f"[{kind}]" if isinstance(kind, str) and kind in known else "[other]"


_PARTS = ("input_text", "output_text", "refusal")


def _kind_of_part(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    return _tag(kind, _PARTS)


Part = Annotated[
    Annotated[InputTextPart, Tag("[input_text]")]
    | Annotated[OutputTextPart, Tag("[output_text]")]
    | Annotated[RefusalPart, Tag("[refusal]")]
    | Annotated[SkipJsonSchema[_OtherPart], Tag("[other]")],
    by_kind(_kind_of_part, "should be a part, {type, text}"),
]
Parts = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[Part], Field(max_length=MOST.message_parts, fail_fast=True), Tag("list[part]")],
    by_kind(text_or_parts, "should be text or a list of parts"),
]

ItemId = Annotated[str, Field(max_length=MOST.item_id_characters)]


class MessageItem(Body):
    """One message. An answer's message can be sent back as it came."""

    neutral = ITEM
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts
    id: ItemId | None = None

    @property
    def text(self) -> str:
        """All parts in one."""
        return "".join(part["text"] for part in self.parts())

    def document(self) -> ItemDocument:
        """The item as it is kept, without an id where it had none."""
        named = {} if self.id is None else {"id": self.id}
        return {**named, "type": "message", "role": self.role, "status": "completed", "content": self.parts()}

    def parts(self) -> list[ItemDocument]:
        """All parts as they are kept."""
        if isinstance(self.content, list):
            return [part.document() for part in self.content if not isinstance(part, _OtherPart)]
        if self.role == "assistant":
            return [output_text(self.content)]
        return [{"type": "input_text", "text": self.content}]


class CallItem(Body):
    """A call of a function in an earlier answer, sent back as it came."""

    neutral = CALL_ITEM
    type: Literal["function_call"]
    call_id: CallId
    name: Annotated[str, Field(min_length=1, max_length=MOST.tool_name_characters)]
    arguments: str
    """The JSON text of the arguments; incomplete where its answer was cut."""
    id: ItemId | None = None

    @property
    def text(self) -> str:
        """The arguments."""
        return self.arguments

    def document(self) -> ItemDocument:
        """The item as it is kept, without an id where it had none."""
        named = {} if self.id is None else {"id": self.id}
        called = {"call_id": self.call_id, "name": self.name, "arguments": self.arguments}
        return {**named, "type": "function_call", **called, "status": "completed"}


class CallOutputItem(Body):
    """The result of a call."""

    neutral = CALL_ITEM
    type: Literal["function_call_output"]
    call_id: CallId
    output: Parts
    name: str | None = None
    """Accepted; the call says it."""
    id: ItemId | None = None

    @property
    def text(self) -> str:
        """The result."""
        if isinstance(self.output, str):
            return self.output
        return "".join(part.text for part in self.output if not isinstance(part, _OtherPart))

    def document(self) -> ItemDocument:
        """The item as it is kept, without an id where it had none."""
        named = {} if self.id is None else {"id": self.id}
        return {
            **named,
            "type": "function_call_output",
            "call_id": self.call_id,
            "output": self.text,
            "status": "completed",
        }


class ReasoningItem(Body):
    """The reasoning of an earlier answer of some model: accepted and dropped, as nothing here reads it."""

    neutral = REASONING_ITEM
    type: Literal["reasoning"]


class ReferenceItem(Body):
    """An item of a stored response, by its id."""

    type: Literal["item_reference"] = "item_reference"
    id: ItemId


class _OtherItem(Body):
    """An item of another kind, which is refused by its name."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["message", "function_call", "function_call_output", "reasoning", "item_reference"]


_ITEMS = ("message", "function_call", "function_call_output", "reasoning", "item_reference")


def _kind_of_item(value: object) -> str | None:
    if isinstance(value, MessageItem | CallItem | CallOutputItem | ReasoningItem | ReferenceItem):
        return _tag(value.type, _ITEMS)
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if kind is None:  # clients leave the type of messages out, and of references
        kind = "message" if "role" in value or "id" not in value else "item_reference"
    return _tag(kind, _ITEMS)


InputItem = Annotated[
    Annotated[MessageItem, Tag("[message]")]
    | Annotated[CallItem, Tag("[function_call]")]
    | Annotated[CallOutputItem, Tag("[function_call_output]")]
    | Annotated[ReasoningItem, Tag("[reasoning]")]
    | Annotated[ReferenceItem, Tag("[item_reference]")]
    | Annotated[SkipJsonSchema[_OtherItem], Tag("[other]")],
    by_kind(_kind_of_item, "should be an item, {type, …}"),
]


SAID = (MessageItem, CallItem, CallOutputItem)
"""Items that say something themselves."""


def _text_or_items(value: object) -> str | None:
    kinds: dict[type, str] = {str: "str", list: "list[item]"}
    return kinds.get(type(value))


ResponsesInput = Annotated[
    Annotated[str, Tag("str")]
    | Annotated[list[InputItem], Field(max_length=MOST.messages, fail_fast=True), Tag("list[item]")],
    by_kind(_text_or_items, "should be text or a list of items"),
]
