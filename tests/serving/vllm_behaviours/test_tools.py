"""Functions: calls whole and streamed, as chosen; the second step; what contradicts itself is refused."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.serving.conftest import Local
from tests.serving.vllm_behaviours.rows import TALK, Row, chat, refusal, rows, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPTIONS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"include_forecast": {"type": "boolean", "default": False}, "language": {"enum": ["zh", "en"]}},
}
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 6, "default": "Vienna"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "options": {"$ref": "#/$defs/options"},
    },
    "required": ["city", "unit"],
    "$defs": {"options": OPTIONS},
}
FORECAST = {
    "type": "object",
    "properties": {"days": {"type": "integer", "minimum": 1, "maximum": 7}},
    "required": ["days"],
}
SCHEMAS = {"get_current_weather": WEATHER, "get_forecast": FORECAST}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in SCHEMAS.items()]
NO_ARGUMENTS = {"type": "object", "properties": {}, "required": []}
NOW = {
    "type": "function",
    "function": {"name": "now", "parameters": NO_ARGUMENTS},
}
NAMED = {"type": "function", "function": {"name": "get_current_weather"}}
MUST = {"tools": TOOLS, "temperature": 1.0, "seed": 3, "max_completion_tokens": 400}
CHOICES = pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])


def calls_of(answer: Any) -> list[Any]:
    """(name, arguments) of the calls of a whole answer, or of a stream's parts put together."""
    if not isinstance(answer, list):
        found = answer["choices"][0]["message"]["tool_calls"] or ()
        return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in found]
    parts: dict[int, list[Any]] = {}
    for event in answer:
        for part in event["choices"][0]["delta"].get("tool_calls") or ():
            call = parts.setdefault(part["index"], ["", ""])
            call[0] += part["function"].get("name") or ""
            call[1] += part["function"].get("arguments") or ""
    return [(name, json.loads(arguments)) for name, arguments in parts.values()]


@CHOICES
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_functions_are_called_with_arguments_that_fit(local: Local, choice: Any, stream: bool) -> None:
    more = {"stream": True} if stream else {}
    called = calls_of(await chat(local, **MUST, tool_choice=choice, **more))
    assert called
    for name, arguments in called:
        jsonschema.validate(arguments, SCHEMAS[name])
        assert choice == "required" or name == "get_current_weather"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "fields", [{}, {"tool_choice": "auto"}, {"tool_choice": None}], ids=["left out", "auto", "null"]
)
async def test_the_model_may_choose(local: Local, stream: bool, fields: Any) -> None:
    answer = await chat(local, **{**MUST, "max_completion_tokens": 8}, **fields, **({"stream": True} if stream else {}))
    assert answer


async def test_none_are_called_where_none_may_be(local: Local) -> None:
    answer = await chat(local, **{**MUST, "max_completion_tokens": 8}, tool_choice="none")
    assert not answer["choices"][0]["message"]["tool_calls"]
    assert text_of(answer)


@pytest.mark.parametrize("arguments", ["{}", ""])
async def test_a_call_without_arguments_is_answered(local: Local, arguments: str) -> None:
    first = await chat(local, tools=[NOW], tool_choice="required", parallel_tool_calls=False, max_completion_tokens=60)
    [call] = first["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("now", {})
    said = {"role": "assistant", "tool_calls": [{**call, "function": {"name": "now", "arguments": arguments}}]}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "ten o'clock"}
    assert text_of(await chat(local, messages=[*TALK, said, result]))


async def test_a_named_function_is_all_that_is_said(local: Local) -> None:
    whole = (await chat(local, **MUST, tool_choice=NAMED))["choices"][0]["message"]
    assert not whole["content"]
    events = await chat(local, **MUST, tool_choice=NAMED, stream=True)
    assert not any(event["choices"][0]["delta"].get("content") for event in events)
    assert len([event for event in events if event["choices"][0]["finish_reason"]]) == 1


@CHOICES
async def test_a_call_that_is_cut_at_its_first_token_says_so(local: Local, choice: Any) -> None:
    [cut] = (await chat(local, **{**MUST, "max_completion_tokens": 1}, tool_choice=choice))["choices"]
    assert cut["finish_reason"] == "length"
    assert not cut["message"]["tool_calls"]


@rows(
    ("a function without functions", {"tool_choice": NAMED}, lambda error: "tool" in error.message),
    (
        "a function that is not among them",
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nobody"}}},
        lambda error: "nobody" in error.message,
    ),
    (
        "a choice of nothing",
        {"tools": TOOLS, "tool_choice": {}},
        lambda error: "tool_choice" in error.message,
    ),
    (
        "another word",
        {"tools": TOOLS, "tool_choice": "bogus"},
        lambda error: "auto" in error.message,
    ),
)
async def test_what_contradicts_itself_is_refused(local: Local, row: Row) -> None:
    assert row.holds(await refusal(chat(local, **row.fields)))


async def test_ids_are_told_beside_functions(local: Local) -> None:
    answer = await chat(local, tools=TOOLS, tool_choice="auto", return_token_ids=True, logprobs=True)
    assert answer["choices"][0]["token_ids"]
    told = await local.http.post("/detokenize", json={"model": answer["model"], "tokens": answer["prompt_token_ids"]})
    assert TALK[1]["content"] in told.json()["prompt"]
