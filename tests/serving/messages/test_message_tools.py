"""Functions in Anthropic's messages: calls as blocks and events, their results, and the counting of tokens."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from tests.serving.conftest import BASE_ID
from tests.serving.messages.conftest import Served
from tests.serving.messages.test_messages import EVENT, PATH, chat, said, streamed, unknown_members

pytestmark = pytest.mark.asyncio(loop_scope="session")

CITY = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}
WEATHER: dict[str, Any] = {"name": "get_weather", "description": "The weather of a city.", "input_schema": CITY}
NOW: dict[str, Any] = {"name": "now", "input_schema": {"type": "object", "properties": {}}, "type": "custom"}
QUESTION: dict[str, Any] = {"role": "user", "content": "Is it warm?"}
MUST: dict[str, Any] = {
    "messages": [QUESTION],
    "tools": [WEATHER, NOW],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": False},
    "max_tokens": 400,
    "temperature": 1.0,
    "seed": 3,
    "ignore_eos": False,
}
IN_CHAT: list[Any] = [
    {
        "type": "function",
        "function": {"name": t["name"], "description": t.get("description"), "parameters": t["input_schema"]},
    }
    for t in (WEATHER, NOW)
]


async def test_calls_are_blocks_that_the_client_reads(served: Served) -> None:
    document = await said(served, **MUST)
    read = Message.model_validate(document)
    assert unknown_members(read) == []
    assert read.stop_reason == "tool_use"
    for block in read.content:
        assert block.type == "tool_use"
        assert block.input in ({"city": "Oslo"}, {"city": "Rome"}) if block.name == "get_weather" else not block.input


async def test_a_stream_tells_the_same_calls(served: Served) -> None:
    whole = await said(served, **MUST)
    documents = await streamed(served, **MUST)
    written: dict[int, str] = {}
    for document in documents:
        if document["type"] != "ping":
            assert unknown_members(EVENT.validate_python(document)) == []
        if document["type"] == "content_block_start":
            written[document["index"]] = ""
        if document["type"] == "content_block_delta":
            written[document["index"]] += document["delta"]["partial_json"]
    assert [json.loads(text) for text in written.values()] == [block["input"] for block in whole["content"]]
    assert documents[-2]["delta"]["stop_reason"] == "tool_use"
    starts = [document for document in documents if document["type"] == "content_block_start"]
    stops = [document for document in documents if document["type"] == "content_block_stop"]
    assert [one["index"] for one in starts] == [one["index"] for one in stops] == list(range(len(whole["content"])))


async def test_the_client_takes_two_steps(served: Served) -> None:
    async with served.client.messages.stream(
        model=BASE_ID,
        messages=[QUESTION],  # type: ignore[list-item]
        tools=[WEATHER, NOW],  # type: ignore[list-item]
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        max_tokens=400,
    ) as stream:
        first = await stream.get_final_message()
    (call,) = first.content
    assert call.type == "tool_use"
    for content in ("warm", [{"type": "text", "text": "warm"}]):
        result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": content}
        turns: list[Any] = [QUESTION, first.to_param(), {"role": "user", "content": [result]}]
        second = await served.client.messages.create(
            model=BASE_ID,
            messages=turns,
            tools=[WEATHER, NOW],  # type: ignore[list-item]
            tool_choice={"type": "none"},
            max_tokens=4,
        )
        assert second.content[0].type == "text"


async def test_results_are_what_chat_is_told(served: Served) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "no such city", "is_error": True}
    messages = [
        QUESTION,
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, use]},
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
    ]
    call = {"id": "toolu_1", "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'}}
    same = [
        QUESTION,
        {"role": "assistant", "content": "I look.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "error: no such city"},
        {"role": "user", "content": "And now?"},
    ]
    document = await said(served, messages=messages, tools=[WEATHER, NOW], tool_choice={"type": "none"})
    answer = await chat(served, same, tools=IN_CHAT, tool_choice="none")
    assert document["content"][0]["text"] == answer["choices"][0]["message"]["content"]


async def test_a_call_that_is_cut_has_the_members_that_are_whole(served: Served) -> None:
    whole = await said(served, **MUST)
    for length in range(1, whole["usage"]["output_tokens"]):
        cut = await said(served, **MUST | {"max_tokens": length})
        assert cut["stop_reason"] == "max_tokens"
        if cut["content"] and cut["content"][-1].get("input") == {}:
            return
    pytest.fail("no length cuts a call")


async def test_tokens_are_counted_as_messages_use_them(served: Served) -> None:
    asked: dict[str, Any] = {"system": "Be short.", "messages": [QUESTION], "tools": [WEATHER, NOW]}
    counted = await served.client.messages.count_tokens(model=BASE_ID, **asked)
    usage = (await said(served, **asked, max_tokens=1))["usage"]
    assert counted.input_tokens == usage["input_tokens"] + usage["cache_read_input_tokens"]
    with pytest.raises(anthropic.NotFoundError):
        await served.client.messages.count_tokens(model="nobody", **asked)
    unknown = {"model": BASE_ID, "messages": [QUESTION], "stream": True}
    bad = await served.http.post(f"{PATH}/count_tokens", json=unknown)
    assert (bad.status_code, bad.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"name": "a"}]}, "tools.0.input_schema"),
        ({"tools": [{**NOW, "name": "<|im_end|>"}]}, "tools.0.name"),
        ({"tools": [{**NOW, "name": f"f{number}"} for number in range(1000)]}, "tools"),
        ({"tools": [NOW, NOW]}, "twice"),
        ({"tools": [{"name": "a", "input_schema": {"type": "string"}}]}, "object"),
        ({"tools": [], "tool_choice": {"type": "any"}}, "there are no tools"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice"),
        ({"tool_choice": {"type": "auto", "name": "now"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "other"}}, "not among tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        (
            {"messages": [QUESTION, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]}]},
            "toolu_1",
        ),
        (
            {"messages": [QUESTION, {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b"}]}]},
            "messages.1.content.0.input",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {}}]}]},
            "an assistant's",
        ),
    ],
)
async def test_what_cannot_be_served_is_refused_by_name(served: Served, fields: dict[str, Any], named: str) -> None:
    answer = await served.http.post(PATH, json={"model": BASE_ID, **MUST, **fields})
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["error"]["message"]
