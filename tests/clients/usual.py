"""What every client is asked: the questions, the form of a structured answer, and the one tool."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel

HELLO = "Hi"
"""Which the model answers in some ten tokens."""
NEXT = "Thank you."
REPORT = "The weather in Paris: 21 degrees and dry."
ASK_WEATHER = "What is the weather in Paris?"
SUNNY = "sunny, 21 degrees"
ENDS = ("stop", "length")
"""How an answer may end: nobody asks a small model to be brief."""


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "London", "Rome"]
    celsius: int
    raining: bool


class Place(BaseModel):
    """The arguments of `get_weather`."""

    city: str


def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"{city}: {SUNNY}"


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tell the weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
"""`get_weather` as OpenAI's API describes it."""


def called(name: str, arguments: str) -> str:
    """What a call of the tool returns; fails where it is not a valid call of it."""
    assert name == "get_weather"
    return get_weather(**Place.model_validate(json.loads(arguments), extra="forbid").model_dump())
