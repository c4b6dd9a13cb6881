"""A skill: something that a function can do, with the ways in which people describe it, ask for it and are answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from adaptrix_core.tools.toolset import Function
from adaptrix_core.training.tasks.tool_use.vocabulary import CITIES

Values = Mapping[str, Any]
"""The arguments of a call, by name."""
Parameter = tuple[str, str, Callable[[Random], Any]]
"""JSON type, description, and a maker of values."""
DESCRIBED = 0.4
"""Share of functions whose parameters are described."""


@dataclass(frozen=True)
class Skill:
    """One skill. Every draw is from the random numbers that it is given, in a fixed order."""

    names: Sequence[str]
    """Names that a function with this skill goes by."""
    descriptions: Sequence[str]
    parameters: Mapping[str, Parameter]
    questions: Sequence[str]
    """What users ask; ``{name}`` stands for an argument."""
    result: Callable[[Values, Random], Any]
    answers: Sequence[str]
    """What is answered once there is a result, which ``{result}`` stands for."""

    def function(self, rng: Random) -> Function:
        """A function with this skill, as some caller may describe it."""
        described = rng.random() < DESCRIBED
        properties = {
            name: {"type": kind, **({"description": text} if described else {})}
            for name, (kind, text, _) in self.parameters.items()
        }
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        return Function(rng.choice(self.names), rng.choice(self.descriptions), schema if properties else None)

    def values(self, rng: Random) -> dict[str, Any]:
        """Arguments of a call."""
        return {name: make(rng) for name, (_, _, make) in self.parameters.items()}

    def question(self, values: Values, rng: Random) -> str:
        """What a user asks who wants these arguments."""
        return rng.choice(self.questions).format(**values)

    def answer(self, values: Values, result: object, rng: Random) -> str:
        """What is answered after this result."""
        return rng.choice(self.answers).format(**values, result=said(result))


def said(result: object) -> str:
    """A result in words, as an answer repeats it."""
    if isinstance(result, dict):
        if len(result) == 1:
            return str(next(iter(result.values())))
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result.items())
    if isinstance(result, list):
        return "; ".join(map(str, result))
    return str(result)


def pick(values: Sequence[Any]) -> Callable[[Random], Any]:
    """A maker that picks one of these values."""
    return lambda rng: rng.choice(values)


def whole(low: int, high: int) -> Callable[[Random], int]:
    """A maker of whole numbers, both ends included."""
    return lambda rng: rng.randint(low, high)


CITY: Parameter = ("string", "Name of the city", pick(CITIES))
NUMBER: Parameter = ("number", "A number", whole(1, 99))
