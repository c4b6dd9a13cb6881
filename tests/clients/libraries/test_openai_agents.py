"""openai-agents: its usual calls, over responses, as it makes them by default, and over chat completions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from tests.clients.client import installed
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, HELLO, NEXT, REPORT, SUNNY, Weather, get_weather

agents = pytest.importorskip("agents", reason="openai-agents is in the extra clients")

CLIENT = installed("openai-agents", note="over responses, its default, and over chat completions")


@pytest.fixture(autouse=True)
def _nothing_is_reported() -> None:
    """Its traces go to OpenAI by default."""
    agents.set_tracing_disabled(True)


@pytest_asyncio.fixture(params=["OpenAIResponsesModel", "OpenAIChatCompletionsModel"])
async def model(server: Served, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    async with openai.AsyncOpenAI(base_url=server.base_url, api_key=server.key) as client:
        model = server.tool_model if "tools" in request.node.name else server.model
        yield getattr(agents, request.param)(model, openai_client=client)


def agent(model: Any, **fields: Any) -> Any:
    return agents.Agent(name="assistant", model=model, **fields)


async def test_chat(model: Any) -> None:
    assert (await agents.Runner.run(agent(model), HELLO)).final_output


async def test_stream(model: Any) -> None:
    run = agents.Runner.run_streamed(agent(model), HELLO)
    events = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
    parts = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert run.final_output == "".join(parts) != ""


async def test_history(model: Any) -> None:
    first = await agents.Runner.run(agent(model), HELLO)
    following = [*first.to_input_list(), {"role": "user", "content": NEXT}]
    second = await agents.Runner.run(agent(model), following)
    assert second.final_output
    used = [run.context_wrapper.usage for run in (first, second)]
    assert used[1].input_tokens > used[0].total_tokens


async def test_structured(model: Any) -> None:
    answer = await agents.Runner.run(agent(model, output_type=Weather), REPORT)
    assert isinstance(answer.final_output, Weather)


async def test_tools(model: Any) -> None:
    forecaster = agent(model, tools=[agents.function_tool(get_weather)])
    run = await agents.Runner.run(forecaster, ASK_WEATHER)
    assert {item.type for item in run.new_items[:-1]} == {"tool_call_item", "tool_call_output_item"}
    outputs = [item.output for item in run.new_items if item.type == "tool_call_output_item"]
    assert outputs
    assert all(output.endswith(SUNNY) for output in outputs)
    assert run.final_output
