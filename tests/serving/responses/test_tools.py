"""Functions in responses: calls that always parse, as items and as events, and their results in the next turn."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from adaptrix_core.request_limits import MOST
from tests.serving.conftest import BASE_ID, Local
from tests.serving.responses import strictly
from tests.serving.responses.test_create import PATH, chat, said
from tests.serving.responses.test_stream import streamed

pytestmark = pytest.mark.asyncio(loop_scope="session")

CITY = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": CITY,
    "strict": True,
}
NOW: dict[str, Any] = {"type": "function", "name": "now", "parameters": None, "strict": None}
ASK: dict[str, Any] = {"input": "Is it warm?", "max_output_tokens": 400, "temperature": 1.0, "seed": 3}
MUST: dict[str, Any] = {
    **ASK,
    "tools": [WEATHER, NOW],
    "tool_choice": "required",
    "parallel_tool_calls": True,
    "ignore_eos": False,
}


def in_chat(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def calls_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in document["output"] if item["type"] == "function_call"]


def without_ids(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: v for name, v in item.items() if name not in ("id", "call_id")} for item in document["output"]]


async def test_calls_are_items_that_the_client_reads(local: Local) -> None:
    document = await said(local, **MUST)
    read = strictly.response(document)
    assert read.status == "completed"
    assert [item["type"] for item in document["output"]] == ["function_call"] * len(document["output"])
    for call in calls_of(document):
        arguments = json.loads(call["arguments"])
        assert arguments in ({"city": "Oslo"}, {"city": "Rome"}) if call["name"] == "get_weather" else arguments == {}
        assert call["status"] == "completed"
    assert len({call["call_id"] for call in calls_of(document)}) == len(calls_of(document))
    assert document["tools"] == [WEATHER, {**NOW, "description": None}]
    assert document["tool_choice"] == "required"


async def test_calls_are_those_of_chat(local: Local) -> None:
    document = await said(local, **MUST)
    answer = await chat(
        local,
        [{"role": "user", "content": "Is it warm?"}],
        tools=[in_chat(WEATHER), in_chat(NOW)],
        tool_choice="required",
        parallel_tool_calls=True,
        max_tokens=400,
        temperature=1.0,
        seed=3,
        ignore_eos=False,
    )
    made = answer["choices"][0]["message"]["tool_calls"]
    assert [call["function"] for call in made] == [
        {"name": call["name"], "arguments": call["arguments"]} for call in calls_of(document)
    ]
    assert document["usage"]["input_tokens"] == answer["usage"]["prompt_tokens"]


async def test_a_stream_tells_the_same_calls(local: Local) -> None:
    whole = await said(local, **MUST)
    documents = await streamed(local, **MUST)
    for document in documents:
        strictly.event(document)
    assert [document["sequence_number"] for document in documents] == list(range(len(documents)))
    assert documents[-1]["type"] == "response.completed"
    assert without_ids(documents[-1]["response"]) == without_ids(whole)
    arguments: dict[int, str] = {}
    for document in documents:
        place = document.get("output_index", 0)
        if document["type"] == "response.output_item.added":
            assert place == len(arguments)
            assert document["item"]["arguments"] == ""
            arguments[place] = ""
        if document["type"] == "response.function_call_arguments.delta":
            arguments[place] += document["delta"]
        if document["type"] == "response.function_call_arguments.done":
            assert document["arguments"] == arguments[place]
        if document["type"] == "response.output_item.done":
            assert document["item"] == documents[-1]["response"]["output"][place]
    assert list(arguments.values()) == [call["arguments"] for call in calls_of(whole)]


class GetWeather(BaseModel):
    """The weather of a city."""

    city: Literal["Oslo", "Rome"]


async def test_the_client_parses_arguments(local: Local) -> None:
    tool = openai.pydantic_function_tool(GetWeather)["function"]
    described: Any = {"type": "function", **tool}
    answer = await local.openai.responses.parse(
        model=BASE_ID, input="Is it warm?", tools=[described], tool_choice="required", max_output_tokens=400
    )
    call = answer.output[0]
    assert call.type == "function_call"
    assert call.parsed_arguments in ({"city": "Oslo"}, {"city": "Rome"})
    async with local.openai.responses.stream(
        model=BASE_ID, input="Is it warm?", tools=[described], tool_choice="required", max_output_tokens=400
    ) as events:
        snapshots = [e.snapshot async for e in events if e.type == "response.function_call_arguments.delta"]
        final = await events.get_final_response()
    assert final.output[-1].type == "function_call"
    assert snapshots[-1] == final.output[-1].arguments


async def test_results_go_into_the_next_turn(local: Local) -> None:
    first = await said(local, **MUST)
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": '{"warm": true}'}
        for call in calls_of(first)
    ]
    parts = [{**result, "output": [{"type": "input_text", "text": '{"warm": true}'}]} for result in results]
    turn = {**ASK, "max_output_tokens": 12, "tools": [WEATHER, NOW], "tool_choice": "none"}
    by_id = await said(local, **turn | {"input": results}, previous_response_id=first["id"])
    ask = {"role": "user", "content": "Is it warm?"}
    sent_back = await said(local, **turn | {"input": [ask, *first["output"], *parts]})
    called = [
        {"id": call["call_id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls_of(first)
    ]
    answer = await chat(
        local,
        [
            ask,
            {"role": "assistant", "content": None, "tool_calls": called},
            *[{"role": "tool", "tool_call_id": call["id"], "content": '{"warm": true}'} for call in called],
        ],
        tools=[in_chat(WEATHER), in_chat(NOW)],
        tool_choice="none",
        temperature=1.0,
        seed=3,
    )
    for document in (by_id, sent_back):
        assert document["output"][0]["content"][0]["text"] == answer["choices"][0]["message"]["content"]
        assert document["usage"]["input_tokens"] == answer["usage"]["prompt_tokens"]
    listed = (await local.http.get(f"{PATH}/{by_id['id']}/input_items", params={"order": "asc"})).json()["data"]
    assert [item["type"] for item in listed] == [
        "message",
        *["function_call"] * len(called),
        *["function_call_output"] * len(called),
    ]


async def test_a_call_that_is_cut_is_incomplete_and_can_be_gone_on_from(local: Local) -> None:
    whole = await said(local, **MUST)
    for length in range(1, min(40, whole["usage"]["output_tokens"])):
        cut = strictly.response(await said(local, **MUST | {"max_output_tokens": length}))
        assert cut.status == "incomplete"
        last = cut.output[-1]
        if last.type == "function_call" and last.status == "incomplete":
            break
    else:
        pytest.fail("no length cuts a call")
    result = {"type": "function_call_output", "call_id": last.call_id, "output": "what?"}
    went_on = await said(local, **ASK | {"input": [result], "max_output_tokens": 4}, previous_response_id=cut.id)
    assert went_on["status"] == "incomplete"


async def test_choices_are_those_of_chat(local: Local) -> None:
    named = await said(local, **MUST | {"tool_choice": {"type": "function", "name": "now"}})
    assert [call["name"] for call in calls_of(named)] == ["now"]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "now"}]}
    some = await said(local, **MUST | {"tool_choice": allowed})
    assert {call["name"] for call in calls_of(some)} == {"now"}
    assert some["tool_choice"] == allowed
    alone = await said(local, **MUST | {"parallel_tool_calls": False})
    assert len(calls_of(alone)) == 1
    assert alone["parallel_tool_calls"] is False
    none = await said(local, **MUST | {"tool_choice": "none", "max_output_tokens": 20})
    assert calls_of(none) == []


CYCLE = {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools.0.type", "web_search"),
        ({"tools": [{"type": "mcp", "server_label": "a"}]}, "tools.0.type", "mcp"),
        ({"tools": [WEATHER, {"type": "custom", "name": "a"}]}, "tools.1.type", "custom"),
        ({"tools": [{"type": "function"}]}, "tools.0.name", "required"),
        ({"tools": [{**NOW, "name": "</tool_call>"}]}, "tools.0.name", "match"),
        ({"tools": [{**NOW, "name": f"f{number}"} for number in range(1000)]}, "tools", str(MOST.tools)),
        ({"tools": [NOW, NOW]}, None, "twice"),
        ({"tools": [{**NOW, "parameters": {"type": "array"}}]}, "tools.0", "object"),
        ({"tools": [{**NOW, "parameters": CYCLE}], "tool_choice": "required"}, None, ""),
        ({"tools": [], "tool_choice": "required"}, None, "there are no tools"),
        ({"tool_choice": {"type": "function", "name": "other"}}, None, "not among tools"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type", "web_search"),
        ({"tool_choice": 5}, "tool_choice", "'none', 'auto'"),
        ({"input": [{"type": "function_call_output", "call_id": "call_1", "output": "a"}]}, "input", "call_1"),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input.0.call_id", "required"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "now"}]}, "input.0.arguments", "required"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c"}]}, "input.0.type", "custom_tool_call"),
    ],
)
async def test_what_cannot_be_served_is_refused_by_name(
    local: Local, fields: dict[str, Any], param: str | None, told: str
) -> None:
    answer = await local.http.post(PATH, json={"model": BASE_ID, **MUST, **fields})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    if param is not None:
        assert error["param"] == param
    assert told in error["message"]
