"""The functions of Anthropic's messages, and the chat's words for them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind
from deployments.openai.neutral_fields import ANTHROPIC_TOOL
from deployments.openai.tool_body import FunctionName


class CustomTool(Body):
    """A function that the model may call."""

    neutral = ANTHROPIC_TOOL
    type: Literal["custom"] = "custom"
    name: FunctionName
    description: str | None = None
    input_schema: dict[str, Any]
    """JSON schema of the arguments, which are one object."""
    strict: bool | None = None

    def tool(self) -> dict[str, Any]:
        """The same in the chat's words."""
        told = {"name": self.name, "description": self.description, "parameters": self.input_schema}
        return {"type": "function", "function": {**told, "strict": self.strict}}


class _OtherTool(Body):
    """A tool that Anthropic's server would have to run, which is refused by its name."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["custom"]


def _kind_of_tool(value: object) -> str | None:
    if isinstance(value, CustomTool):
        return "[custom]"
    if not isinstance(value, dict):
        return None
    return "[custom]" if value.get("type", "custom") in ("custom", None) else "[other]"


CustomTools = Annotated[
    list[
        Annotated[
            Annotated[CustomTool, Tag("[custom]")] | Annotated[SkipJsonSchema[_OtherTool], Tag("[other]")],
            by_kind(_kind_of_tool, "should be a tool, {name, input_schema}"),
        ]
    ],
    Field(max_length=MOST.tools, fail_fast=True),
]


class ToolUseChoice(Body):
    """Whether the answer may, must or may not call functions."""

    type: Literal["auto", "any", "tool", "none"]
    name: FunctionName | None = None
    """Of the function to call, with the type ``tool``."""
    disable_parallel_tool_use: bool | None = None
    """Whether one answer holds one call at most; null: unless the model's own template knows tools."""

    @model_validator(mode="after")
    def _names_the_tool(self) -> Self:
        if (self.type == "tool") != (self.name is not None):
            raise ValueError("name goes with type 'tool', and with no other: send both, or neither")
        return self

    def fields(self) -> dict[str, Any]:
        """The same in the chat's words."""
        named = {"type": "function", "function": {"name": self.name}}
        choice = named if self.type == "tool" else {"any": "required"}.get(self.type, self.type)
        one = self.disable_parallel_tool_use
        return {"tool_choice": choice, "parallel_tool_calls": None if one is None else not one}


def chat_tools(tools: list[Any] | None) -> list[dict[str, Any]] | None:
    """The functions of a checked request in the chat's words; None where it has none."""
    return [tool.tool() for tool in tools if isinstance(tool, CustomTool)] if tools else None
