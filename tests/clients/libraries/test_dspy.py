"""dspy: its usual calls, with the server declared as a provider that knows schemas and tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.client import installed
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, HELLO, NEXT, REPORT, SUNNY, Weather, get_weather

dspy = pytest.importorskip("dspy", reason="dspy is in the extra clients")
lm15 = pytest.importorskip("dspy.lm15")

CLIENT = installed(
    "dspy",
    note="declared with `dspy.lm15.register_provider`, `JSONAdapter`; of a model that it does not "
    "know it expects its own format without a schema, which takes a larger model",
)

MOST_TOKENS = 200


@pytest.fixture(scope="module")
def lm(server: Served) -> Iterator[Any]:
    access = lm15.AccessPolicy("adaptrix", base_url=server.base_url)
    definition = lm15.ProviderDefinition.chat(access, compat=lm15.OpenAIChatCompat())
    lm15.register_provider(definition, supports=lm15.ModelSupport(function_calling=True, response_schema=True))
    yield dspy.LM(
        f"adaptrix/{server.model}", api_base=server.base_url, api_key=server.key, cache=False, max_tokens=MOST_TOKENS
    )
    lm15.unregister_provider("adaptrix")


@pytest.fixture(autouse=True)
def _in_use(lm: Any) -> Iterator[None]:
    with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
        yield


def test_chat(lm: Any) -> None:
    assert lm(HELLO)[0]
    assert dspy.Predict("question -> answer")(question=HELLO).answer


async def test_stream() -> None:
    listener = dspy.streaming.StreamListener(signature_field_name="answer")
    program = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
    seen = [each async for each in program(question=HELLO)]
    parts = [each.chunk for each in seen if isinstance(each, dspy.streaming.StreamResponse)]
    assert parts
    assert isinstance(seen[-1], dspy.Prediction)


def test_history(lm: Any) -> None:
    class Conversation(dspy.Signature):  # type: ignore[misc]
        history: dspy.History = dspy.InputField()
        question: str = dspy.InputField()
        answer: str = dspy.OutputField()

    talk = dspy.Predict(Conversation)
    first = talk(question=HELLO, history=dspy.History(messages=[]))
    turn = {"question": HELLO, "answer": first.answer}
    assert talk(question=NEXT, history=dspy.History(messages=[turn])).answer
    assert [message["role"] for message in lm.history[-1]["messages"]] == ["system", "user", "assistant", "user"]


def test_structured() -> None:
    class Report(dspy.Signature):  # type: ignore[misc]
        report: str = dspy.InputField()
        weather: Weather = dspy.OutputField()

    assert isinstance(dspy.Predict(Report)(report=REPORT).weather, Weather)


def test_tools() -> None:
    class Ask(dspy.Signature):  # type: ignore[misc]
        question: str = dspy.InputField()
        tools: list[dspy.Tool] = dspy.InputField()
        calls: dspy.ToolCalls = dspy.OutputField()

    asked = dspy.Predict(Ask)(question=ASK_WEATHER, tools=[dspy.Tool(get_weather)], config={"tool_choice": "required"})
    results = [call.execute([dspy.Tool(get_weather)]) for call in asked.calls.tool_calls]
    assert results
    assert all(result.endswith(SUNNY) for result in results)
    assert dspy.Predict("question, weather -> answer")(question=ASK_WEATHER, weather=results[0]).answer
