"""langchain-openai: its usual calls."""

from __future__ import annotations

import functools
import operator
from typing import Any

import pytest

from tests.clients.client import installed
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, ENDS, HELLO, NEXT, REPORT, Weather, get_weather

langchain_openai = pytest.importorskip("langchain_openai", reason="langchain-openai is in the extra clients")
messages = pytest.importorskip("langchain_core.messages")
tools = pytest.importorskip("langchain_core.tools")

CLIENT = installed("langchain-openai")


@pytest.fixture(scope="module")
def chat(server: Served) -> Any:
    return langchain_openai.ChatOpenAI(base_url=server.base_url, api_key=server.key, model=server.model)


def test_chat(chat: Any) -> None:
    answer = chat.invoke(HELLO)
    assert answer.content
    assert answer.response_metadata["finish_reason"] in ENDS


def test_stream(chat: Any) -> None:
    parts = list(chat.stream(HELLO))
    whole = functools.reduce(operator.add, parts)
    assert whole.content == "".join(part.content for part in parts) != ""
    assert whole.response_metadata["finish_reason"] in ENDS


def test_history(chat: Any) -> None:
    first = chat.invoke([messages.HumanMessage(HELLO)])
    second = chat.invoke([messages.HumanMessage(HELLO), first, messages.HumanMessage(NEXT)])
    assert second.usage_metadata["input_tokens"] > first.usage_metadata["total_tokens"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured(chat: Any, method: str) -> None:
    answer = chat.with_structured_output(Weather, method=method).invoke(REPORT)
    assert isinstance(answer, Weather)


def test_tools(server: Served) -> None:
    chat = langchain_openai.ChatOpenAI(base_url=server.base_url, api_key=server.key, model=server.tool_model)
    tool = tools.tool(get_weather)
    able = chat.bind_tools([tool])
    asked: list[Any] = [messages.HumanMessage(ASK_WEATHER)]
    first = able.invoke(asked)
    assert first.response_metadata["finish_reason"] == "tool_calls"
    results = [tool.invoke(call) for call in first.tool_calls]
    assert results
    last = able.invoke([*asked, first, *results])
    assert last.content
    assert not last.tool_calls
