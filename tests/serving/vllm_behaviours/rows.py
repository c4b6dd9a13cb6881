"""One row for each behaviour that vLLM's own tests of its OpenAI server assert: what is asked, and what must hold.

The rows say it in our words. They are sent with OpenAI's client, as those tests do, and what it reads is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from tests.serving.conftest import BASE_ID, Local

ADAPTER = "math_reasoning"
MODELS = (BASE_ID, ADAPTER)
TALK = [
    {"role": "system", "content": "you are a helpful assistant"},
    {"role": "user", "content": "What is seventeen plus twenty five?"},
]
PROMPT = "The quick brown fox"
Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Row:
    """A behaviour: what it is called, the fields that are sent, and what holds of the answer.

    The answer is the client's model as a dictionary, all events of a stream, or the error.
    """

    says: str
    fields: Mapping[str, Any]
    holds: Check


def rows(*given: tuple[str, Mapping[str, Any], Check]) -> pytest.MarkDecorator:
    """A test's parameter ``row``."""
    return pytest.mark.parametrize("row", [Row(*one) for one in given], ids=[one[0] for one in given])


every_model = pytest.mark.parametrize("model", MODELS)


async def chat(local: Local, model: str = BASE_ID, **fields: Any) -> Any:
    """A chat's answer, or its events where ``stream`` is among the fields."""
    sent = {"messages": TALK, "max_completion_tokens": 6, "temperature": 0, **fields}
    return await _read(await local.openai.chat.completions.create(model=model, **_split(sent, "messages", "stream")))


async def complete(local: Local, model: str = BASE_ID, **fields: Any) -> Any:
    """A completion, or its events where ``stream`` is among the fields."""
    sent = {"prompt": PROMPT, "max_tokens": 6, "temperature": 0, **fields}
    return await _read(await local.openai.completions.create(model=model, **_split(sent, "prompt", "stream")))


async def respond(local: Local, model: str = BASE_ID, **fields: Any) -> Any:
    """A response, or its events where ``stream`` is among the fields."""
    sent = {"input": "Who is the mother of my father?", "max_output_tokens": 6, "temperature": 0, **fields}
    return await _read(await local.openai.responses.create(model=model, **_split(sent, "input", "stream")))


async def refusal(sending: Any) -> openai.APIStatusError:
    """The error with which a request is refused as a bad one."""
    with pytest.raises(openai.BadRequestError) as caught:
        await sending
    return caught.value


def text_of(answer: Any, index: int = 0) -> str:
    """The text of a choice, or of all events of a stream that are a choice's."""
    if isinstance(answer, list):
        parts = [choice for event in answer for choice in event["choices"] if choice["index"] == index]
        return "".join(part["text"] if "text" in part else part["delta"]["content"] or "" for part in parts)
    choice = answer["choices"][index]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


def finishes(events: Any) -> list[str]:
    """Why the choices of a stream ended, in the order in which they did."""
    ends = [choice["finish_reason"] for event in events for choice in event["choices"]]
    return [end for end in ends if end is not None]


def _split(fields: Mapping[str, Any], *own: str) -> dict[str, Any]:
    """Fields as arguments of the client's methods: their own ones, and all others as they are."""
    return {**{name: fields[name] for name in own if name in fields}, "extra_body": dict(fields)}


async def _read(answer: Any) -> Any:
    if isinstance(answer, openai.AsyncStream):
        return [event.model_dump() async for event in answer]
    return answer.model_dump()
