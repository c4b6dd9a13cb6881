"""pydantic-ai: its usual calls; structured outputs as it makes them by default (a tool), and as JSON."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.client import installed
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, HELLO, NEXT, REPORT, SUNNY, Weather, get_weather

pydantic_ai = pytest.importorskip("pydantic_ai", reason="pydantic-ai is in the extra clients")
models = pytest.importorskip("pydantic_ai.models.openai")
providers = pytest.importorskip("pydantic_ai.providers.openai")

CLIENT = installed("pydantic-ai-slim", name="pydantic-ai")


@pytest.fixture
def model(server: Served) -> Any:
    return named(server, server.model)


def named(server: Served, model: str) -> Any:
    provider = providers.OpenAIProvider(base_url=server.base_url, api_key=server.key)
    return models.OpenAIChatModel(model, provider=provider)


async def test_chat(model: Any) -> None:
    assert (await pydantic_ai.Agent(model).run(HELLO)).output


async def test_stream(model: Any) -> None:
    async with pydantic_ai.Agent(model).run_stream(HELLO) as answer:
        parts = [part async for part in answer.stream_text(delta=True, debounce_by=None)]
        assert await answer.get_output() == "".join(parts) != ""


async def test_history(model: Any) -> None:
    agent = pydantic_ai.Agent(model)
    first = await agent.run(HELLO)
    second = await agent.run(NEXT, message_history=first.all_messages())
    assert second.usage.input_tokens > first.usage.total_tokens


@pytest.mark.parametrize("form", ["ToolOutput", "NativeOutput"])
async def test_structured(model: Any, form: str) -> None:
    agent = pydantic_ai.Agent(model, output_type=getattr(pydantic_ai, form)(Weather))
    assert isinstance((await agent.run(REPORT)).output, Weather)


async def test_tools(server: Served) -> None:
    agent = pydantic_ai.Agent(named(server, server.tool_model), tools=[get_weather])
    run = await agent.run(ASK_WEATHER)
    results = [
        part.content for message in run.all_messages() for part in message.parts if part.part_kind == "tool-return"
    ]
    assert results
    assert all(result.endswith(SUNNY) for result in results)
    assert run.output
