"""openai, the official Python client: its usual calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.clients.client import installed
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, ENDS, HELLO, NEXT, REPORT, TOOL, Weather, called

pytestmark = pytest.mark.integration

CLIENT = installed("openai", name="openai (Python)")


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key=server.key) as made:
        yield made


def asked(text: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def test_chat(server: Served, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=server.model, messages=asked(HELLO))
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ENDS


def test_stream(server: Served, client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=server.model, messages=asked(HELLO)) as stream:
        parts = [event.delta for event in stream if event.type == "content.delta"]
        whole = stream.get_final_completion().choices[0]
    assert "".join(parts) == whole.message.content
    assert whole.finish_reason in ENDS


def test_history(server: Served, client: openai.OpenAI) -> None:
    messages = asked(HELLO)
    first = client.chat.completions.create(model=server.model, messages=messages)
    messages += [first.choices[0].message, *asked(NEXT)]  # type: ignore[list-item]
    second = client.chat.completions.create(model=server.model, messages=messages)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens > first.usage.prompt_tokens + first.usage.completion_tokens


def test_structured(server: Served, client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model=server.model, messages=asked(REPORT), response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather)


def test_tools(server: Served, client: openai.OpenAI) -> None:
    said: list[Any] = asked(ASK_WEATHER)
    first = client.chat.completions.create(model=server.tool_model, messages=said, tools=[TOOL])  # type: ignore[list-item]
    assert first.choices[0].finish_reason == "tool_calls"
    said.append(first.choices[0].message)
    for call in first.choices[0].message.tool_calls or []:
        assert call.type == "function"
        result = called(call.function.name, call.function.arguments)
        said.append({"role": "tool", "tool_call_id": call.id, "content": result})
    last = client.chat.completions.create(model=server.tool_model, messages=said, tools=[TOOL])  # type: ignore[list-item]
    assert last.choices[0].message.content
    assert last.choices[0].finish_reason == "stop"


def test_a_wrong_key_is_told_as_such(server: Served) -> None:
    with (
        openai.OpenAI(base_url=server.base_url, api_key="adx-wrong") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()
