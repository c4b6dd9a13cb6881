"""The fields by which clients describe functions, and say whether the answer may, must or may not call them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, Tag, model_validator

from adaptrix_core.request_limits import MOST
from adaptrix_core.tools.toolset import Function, Toolset
from deployments.openai.body import Body
from deployments.openai.field_types import by_kind

NAME_OF_FUNCTION = r"^[a-zA-Z0-9_.-]+$"
"""OpenAI's alphabet and the dot, which names of methods have. Markup in it would be read as part of the prompt."""
FunctionName = Annotated[str, Field(pattern=NAME_OF_FUNCTION, max_length=MOST.tool_name_characters)]


class DescribedFunction(Body):
    """A function as its caller describes it."""

    name: FunctionName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON schema of the arguments, which are one object."""
    strict: bool | None = None
    """Whether a schema that cannot be held to in full is refused; arguments are held to it in any case."""

    @model_validator(mode="after")
    def _arguments_are_an_object(self) -> Self:
        if (kind := (self.parameters or {}).get("type", "object")) != "object":
            raise ValueError(f"parameters describes {str(kind)[:40]!r}; arguments are an object: set type to 'object'")
        return self

    def function(self) -> Function:
        """The same in the core's words."""
        return Function(self.name, self.description or "", self.parameters, bool(self.strict))


class Tool(Body):
    """A tool; only functions are supported."""

    type: Literal["function"]
    function: DescribedFunction


class NamedFunction(Body):
    """A function by its name."""

    name: FunctionName


class NamedTool(Body):
    """The function that the answer has to call."""

    type: Literal["function"]
    function: NamedFunction


class AllowedNames(Body):
    """Some of the request's functions."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MOST.tools, fail_fast=True)]


class AllowedTools(Body):
    """The functions that may be called now."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedNames


def _kind_of_choice(value: object) -> str | None:
    if isinstance(value, str):
        return "str"
    if not isinstance(value, dict):
        return None
    return "allowed_tools" if value.get("type") == "allowed_tools" else "function"


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("str")]
    | Annotated[NamedTool, Tag("function")]
    | Annotated[AllowedTools, Tag("allowed_tools")],
    by_kind(_kind_of_choice, "should be 'none', 'auto', 'required', or an object that names a function"),
]


class DescribedTools(Body):
    """The field that describes functions."""

    tools: Annotated[list[Tool], Field(max_length=MOST.tools, fail_fast=True)] | None = None
    """Functions that the model may call."""

    @model_validator(mode="after")
    def _each_has_its_name(self) -> Self:
        names = [tool.function.name for tool in self.tools or ()]
        if twice := next((name for number, name in enumerate(names) if name in names[:number]), None):
            raise ValueError(f"tools describe {twice!r} twice; give each function a name of its own")
        return self

    def functions(self) -> tuple[Function, ...]:
        """The functions in the core's words."""
        return tuple(tool.function.function() for tool in self.tools or ())


class ToolBody(DescribedTools):
    """Fields that describe functions, and say whether they may be called."""

    tool_choice: ToolChoice | None = None
    """Null: ``auto``."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may hold several calls; null: if the model's own template knows tools."""

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [tool.function.name for tool in self.tools or ()]
        if not names and self.tool_choice not in (None, "none", "auto"):
            raise ValueError("tool_choice asks for a call, but there are no tools; send tools, or leave it out")
        for name in self._chosen_names() or ():
            if name not in names:
                raise ValueError(f"tool_choice names {name!r}, which is not among tools")
        return self

    def toolset(self) -> Toolset | None:
        """The functions that the answer may call; None where it may call none."""
        if not self.tools or self.tool_choice == "none":
            return None
        names = self._chosen_names()
        return Toolset(
            self.functions(),
            must_call=self._must_call(),
            callable_names=None if names is None else frozenset(names),
            is_parallel=False if isinstance(self.tool_choice, NamedTool) else self.parallel_tool_calls,
        )

    def _must_call(self) -> bool:
        if isinstance(self.tool_choice, AllowedTools):
            return self.tool_choice.allowed_tools.mode == "required"
        return self.tool_choice == "required" or isinstance(self.tool_choice, NamedTool)

    def _chosen_names(self) -> list[str] | None:
        """The functions that ``tool_choice`` names; None where it names none."""
        if isinstance(self.tool_choice, NamedTool):
            return [self.tool_choice.function.name]
        if isinstance(self.tool_choice, AllowedTools):
            return [tool.function.name for tool in self.tool_choice.allowed_tools.tools]
        return None
