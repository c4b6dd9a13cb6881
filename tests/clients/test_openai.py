"""openai, the official Python client: its usual calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from tests.clients.served import Served


class Weather(BaseModel):
    city: Literal["Paris", "London", "Rome"]
    celsius: int
    raining: bool


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key=server.key) as made:
        yield made


def asked(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_chat(server: Served, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=server.model, messages=asked("Say hello."))
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"


def test_stream(server: Served, client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=server.model, messages=asked("Say hello.")) as stream:
        parts = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion().choices[0]
    assert "".join(parts) == whole.message.content
    assert whole.finish_reason == "stop"


def test_history(server: Served, client: openai.OpenAI) -> None:
    messages = asked("My name is Ada.")
    first = client.chat.completions.create(model=server.model, messages=messages)
    messages += [first.choices[0].message, *asked("What is my name?")]  # type: ignore[list-item]
    second = client.chat.completions.create(model=server.model, messages=messages)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens > first.usage.prompt_tokens + first.usage.completion_tokens


def test_structured(server: Served, client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=server.model, messages=asked("The weather in Paris: 21 degrees and dry."), response_format=Weather
    )
    assert isinstance(answer.choices[0].message.parsed, Weather)


def test_a_wrong_key_is_told_as_such(server: Served) -> None:
    with (
        openai.OpenAI(base_url=server.base_url, api_key="adx-wrong") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()
