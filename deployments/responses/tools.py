"""The functions of a response as OpenAI's Responses API describes them, and the chat's words for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag
from pydantic.json_schema import SkipJsonSchema

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind
from deployments.openai.neutral_fields import RESPONSES_TOOL
from deployments.openai.tool_body import DescribedFunction, FunctionName


class ResponsesFunction(DescribedFunction):
    """A function that the model may call."""

    neutral = RESPONSES_TOOL
    type: Literal["function"]

    def document(self) -> dict[str, Any]:
        """The function as answers repeat it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.strict,
        }

    def tool(self) -> dict[str, Any]:
        """The same in the chat's words."""
        told = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": {**told, "strict": self.strict}}


class _OtherTool(Body):
    """A tool that another server would have to run, which is refused by its name."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["function"]


def _kind_of_tool(value: object) -> str | None:
    if isinstance(value, ResponsesFunction):
        return "[function]"
    if not isinstance(value, dict):
        return None
    return "[function]" if value.get("type") == "function" else "[other]"


ResponsesTools = Annotated[
    list[
        Annotated[
            Annotated[ResponsesFunction, Tag("[function]")] | Annotated[SkipJsonSchema[_OtherTool], Tag("[other]")],
            by_kind(_kind_of_tool, "should be a function, {type, name, parameters}"),
        ]
    ],
    Field(max_length=MOST.tools, fail_fast=True),
]


class ChosenFunction(Body):
    """The function that the answer has to call."""

    type: Literal["function"]
    name: FunctionName

    def named(self) -> dict[str, Any]:
        """The same in the chat's words."""
        return {"type": "function", "function": {"name": self.name}}


class ChosenFunctions(Body):
    """The functions that may be called now."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ChosenFunction], Field(min_length=1, max_length=MOST.tools, fail_fast=True)]


def _kind_of_choice(value: object) -> str | None:
    if isinstance(value, str):
        return "str"
    if not isinstance(value, dict):
        return None
    return "[allowed]" if value.get("type") == "allowed_tools" else "[function]"


ResponsesToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("str")]
    | Annotated[ChosenFunction, Tag("[function]")]
    | Annotated[ChosenFunctions, Tag("[allowed]")],
    by_kind(_kind_of_choice, "should be 'none', 'auto', 'required', or an object that names a function"),
]


def functions_of(tools: Sequence[ResponsesFunction | _OtherTool] | None) -> list[ResponsesFunction]:
    """The functions of a checked request: all of its tools."""
    return [tool for tool in tools or () if isinstance(tool, ResponsesFunction)]


def chat_choice(choice: Any) -> Any:
    """A checked choice in the chat's words."""
    if isinstance(choice, ChosenFunction):
        return choice.named()
    if isinstance(choice, ChosenFunctions):
        allowed = {"mode": choice.mode, "tools": [tool.named() for tool in choice.tools]}
        return {"type": "allowed_tools", "allowed_tools": allowed}
    return choice
