"""The functions that a model may call in one answer, and how free it is to call them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Function:
    """A function of the caller's. The model only writes calls of it; who runs them is the caller."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    """JSON schema of the arguments, which are an object; None for a function without any."""
    is_strict: bool = False
    """Whether a keyword of the schema that cannot be held to is a fault; otherwise it is passed over."""

    def document(self) -> dict[str, Any]:
        """OpenAI's document of the function, as chat templates take it."""
        told = {"name": self.name, **({"description": self.description} if self.description else {})}
        return {"type": "function", "function": {**told, "parameters": dict(self.schema)}}

    @property
    def schema(self) -> Mapping[str, Any]:
        """The schema of the arguments; of an empty object where none are described."""
        return self.parameters or {"type": "object", "properties": {}}


@dataclass(frozen=True)
class Toolset:
    """The functions of a request."""

    functions: tuple[Function, ...]
    must_call: bool = False
    """Whether the answer has to be a call; else the model decides between calls and text."""
    callable_names: frozenset[str] | None = None
    """The functions that may be called now, of those that are described; None for all."""
    is_parallel: bool | None = None
    """Whether one answer may hold several calls; None: if the model's own template knows functions. Others repeat one
    call."""

    @property
    def callable_functions(self) -> tuple[Function, ...]:
        """The functions that may be called in this answer."""
        allowed = self.callable_names
        return tuple(one for one in self.functions if allowed is None or one.name in allowed)

    def documents(self) -> list[dict[str, Any]]:
        """OpenAI's documents of all functions."""
        return [function.document() for function in self.functions]

    @cached_property
    def num_characters(self) -> int:
        """Characters that the functions' descriptions add to the prompt, about."""
        return len(json.dumps(self.documents(), ensure_ascii=False))
