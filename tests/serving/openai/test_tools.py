"""Tools over HTTP: calls that always parse, told as OpenAI does, streamed and whole; and the bad versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adaptrix_core.request_limits import MOST
from tests.serving.conftest import BASE_ID, Local

CITY = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}
NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "integer", "maximum": 99}, "b": {"$ref": "#/$defs/b"}},
    "required": ["a", "b"],
    "$defs": {"b": {"type": "boolean"}},
}


def tool(name: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


WEATHER, ADD, NOW = tool("get_weather", CITY, description="The weather of a city."), tool("add", NUMBERS), tool("now")
QUESTION = {"role": "user", "content": "Is it warm?"}
ASK: dict[str, Any] = {"model": BASE_ID, "messages": [QUESTION], "max_tokens": 400, "temperature": 1.0, "seed": 3}
MUST: dict[str, Any] = {**ASK, "tools": [WEATHER, ADD, NOW], "tool_choice": "required", "parallel_tool_calls": True}


async def choices(local: Local, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await local.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["choices"])


async def refusal(local: Local, body: dict[str, Any]) -> dict[str, Any]:
    answer = await local.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400, answer.text
    return dict(answer.json()["error"])


def fits(name: str, arguments: dict[str, Any]) -> bool:
    """Whether the arguments are valid for one of the functions above."""
    if name == "get_weather":
        return arguments in ({"city": "Oslo"}, {"city": "Rome"})
    if name == "add":
        return arguments.keys() == {"a", "b"} and arguments["a"] <= 99 and isinstance(arguments["b"], bool)
    return name == "now" and arguments == {}


async def test_calls_parse_and_their_arguments_are_valid(local: Local) -> None:
    rows = await choices(local, {**MUST, "n": 8})
    for row in rows:
        message = row["message"]
        assert row["finish_reason"] == "tool_calls"
        assert message["content"] is None
        assert 1 <= len(message["tool_calls"]) <= MOST.calls
        for call in message["tool_calls"]:
            assert call["type"] == "function"
            assert fits(call["function"]["name"], json.loads(call["function"]["arguments"]))
    ids = [call["id"] for row in rows for call in row["message"]["tool_calls"]]
    assert len(set(ids)) == len(ids)


async def test_a_stream_tells_the_same_calls(local: Local) -> None:
    """Joined as OpenAI's clients do: by index, the id and the name once, arguments added up."""
    wanted = await choices(local, {**MUST, "n": 4})
    async with local.http.stream("POST", "/v1/chat/completions", json={**MUST, "n": 4, "stream": True}) as answer:
        lines = [line[6:] async for line in answer.aiter_lines() if line.startswith("data: {")]
    calls: dict[int, list[dict[str, Any]]] = {index: [] for index in range(4)}
    reasons: dict[int, list[str]] = {index: [] for index in range(4)}
    for line in lines:
        (choice,) = json.loads(line)["choices"]
        assert choice["delta"] or choice["finish_reason"]
        for part in choice["delta"].get("tool_calls", ()):
            row = calls[choice["index"]]
            if "id" in part:
                assert part["index"] == len(row)
                row.append({"name": part["function"]["name"], "arguments": ""})
            row[part["index"]]["arguments"] += part["function"]["arguments"]
        reasons[choice["index"]] += [choice["finish_reason"]] if choice["finish_reason"] else []
    for row in wanted:
        assert calls[row["index"]] == [call["function"] for call in row["message"]["tool_calls"]]
        assert reasons[row["index"]] == ["tool_calls"]


async def test_the_named_function_is_called_once(local: Local) -> None:
    choice = {"type": "function", "function": {"name": "add"}}
    for row in await choices(local, {**MUST, "tool_choice": choice, "n": 4}):
        assert [call["function"]["name"] for call in row["message"]["tool_calls"]] == ["add"]


async def test_only_allowed_functions_are_called(local: Local) -> None:
    named = [{"type": "function", "function": {"name": name}} for name in ("now", "add")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": named}}
    rows = await choices(local, {**MUST, "tool_choice": choice, "n": 8})
    assert {call["function"]["name"] for row in rows for call in row["message"]["tool_calls"]} == {"now", "add"}


@pytest.mark.parametrize("is_parallel", [False, None])
async def test_one_call_where_they_may_not_be_parallel(local: Local, is_parallel: bool | None) -> None:
    """Nor where nothing is said of it, and the model's template knows no functions."""
    rows = await choices(local, {**MUST, "parallel_tool_calls": is_parallel, "n": 8})
    assert {len(row["message"]["tool_calls"]) for row in rows} == {1}


@pytest.mark.parametrize("choice", ["none", None])
async def test_text_where_no_function_may_be_called(local: Local, choice: str | None) -> None:
    body = {**ASK, "max_tokens": 20, "tools": [WEATHER] if choice else [], "tool_choice": choice}
    (row,) = await choices(local, body)
    assert row["message"]["content"]
    assert "tool_calls" not in row["message"]


async def test_the_model_is_told_of_functions_calls_and_results(local: Local) -> None:
    """By the tokens of the prompt: the tiny model's template knows no functions, so they are stated."""
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    messages = [
        QUESTION,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "18 C"}]},
    ]
    body = {**ASK, "messages": messages, "tools": [WEATHER], "max_tokens": 4, "return_token_ids": True}
    answer = await local.http.post("/v1/chat/completions", json=body)
    prompt = local.store.worker.tokenizer.decode(answer.json()["prompt_token_ids"])
    for told in ('"name": "get_weather"', '{"name": "get_weather", "arguments": {"city": "Oslo"}}', "18 C"):
        assert told in prompt


async def test_an_answer_with_calls_can_be_sent_back_as_it_came(local: Local) -> None:
    messages: list[Any] = [{"role": "user", "content": "Is it warm?"}]
    first = await local.openai.chat.completions.create(
        model=BASE_ID,
        messages=messages,
        tools=[WEATHER, NOW],
        tool_choice="required",
        max_tokens=400,
        seed=3,  # type: ignore[list-item]
    )
    message = first.choices[0].message
    assert message.tool_calls
    results = [{"role": "tool", "tool_call_id": call.id, "content": "18 C"} for call in message.tool_calls]
    second = await local.openai.chat.completions.create(
        model=BASE_ID,
        messages=[*messages, message, *results],
        tools=[WEATHER, NOW],
        max_tokens=8,  # type: ignore[list-item]
    )
    assert second.choices[0].finish_reason in ("stop", "length", "tool_calls")


async def test_a_call_that_is_cut_says_so(local: Local) -> None:
    choice = {"type": "function", "function": {"name": "add"}}
    whole = (await choices(local, {**MUST, "tool_choice": choice}))[0]["message"]["tool_calls"][0]["function"]
    (row,) = await choices(local, {**MUST, "tool_choice": choice, "max_tokens": 48})
    assert row["finish_reason"] == "length"
    (call,) = row["message"]["tool_calls"]
    assert whole["arguments"].startswith(call["function"]["arguments"])
    assert whole["arguments"] != call["function"]["arguments"]


async def test_markup_of_a_call_that_is_cut_is_no_text(local: Local) -> None:
    for length in (1, 2, 5, 12):
        (row,) = await choices(local, {**MUST, "max_tokens": length})
        assert (row["finish_reason"], row["message"]["content"]) == ("length", "")
        assert "tool_calls" not in row["message"]


async def test_a_form_of_text_and_calls_go_together(local: Local) -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer", "maximum": 9}}, "required": ["sum"]}
    form = {"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}
    for row in await choices(local, {**ASK, "tools": [WEATHER, ADD], "response_format": form, "n": 6}):
        calls = row["message"].get("tool_calls", ())
        assert all(fits(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls)
        assert calls or json.loads(row["message"]["content"]).keys() == {"sum"}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tools": [tool(f"f{number}") for number in range(1000)]}, "tools"),
    ({"tools": [tool("<tool_call>")]}, "tools"),
    ({"tools": [tool('a", "b')]}, "tools"),
    ({"tools": [tool("a" * 129)]}, "tools"),
    ({"tools": [tool("f"), tool("f")]}, "twice"),
    ({"tools": [tool("f", {"type": "string"})]}, "object"),
    ({"tools": [{"type": "web_search"}]}, "tools"),
    ({"tools": [{"type": "function", "function": {"name": "f", "more": 1}}]}, "more"),
    ({"tools": "get_weather"}, "tools"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "other"),
    ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [WEATHER], "tool_choice": 3}, "tool_choice"),
    ({"tools": [WEATHER], "guided_regex": "a+"}, "guided_regex"),
    ({"tools": [tool("f", {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}})]}, "tools"),
    ({"tools": [tool("f", {"properties": {"a": {"enum": ["x" * (MOST.grammar_characters + 1)]}}})]}, "tools"),
    ({"messages": [QUESTION, {"role": "tool", "tool_call_id": "call_9", "content": "18 C"}]}, "call_9"),
    ({"messages": [QUESTION, {"role": "tool", "content": "18 C"}]}, "tool_call_id"),
    (
        {"messages": [{**QUESTION, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": ""}}]}]},
        "tool_calls",
    ),
    ({"messages": [QUESTION, {"role": "assistant", "tool_calls": [{"id": "1"}]}]}, "function"),
    ({"functions": [{"name": "f"}]}, "functions"),
]


@pytest.mark.parametrize(("fields", "named"), BAD, ids=lambda value: value if isinstance(value, str) else "")
async def test_bad_versions_are_refused_by_name(local: Local, fields: dict[str, Any], named: str) -> None:
    error = await refusal(local, {**ASK, **fields})
    assert named in f"{error['message']} {error['param']}"
    assert len(error["message"]) < 1000


HOSTILE = {
    "cyclic": {"$ref": "#"},
    "cyclic through definitions": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
        "$ref": "#/$defs/a",
    },
    "intersections": {"properties": {"x": {"allOf": [{"pattern": f"(a|b)*a(a|b){{{n}}}"} for n in range(20, 40)]}}},
    "deep": json.loads('{"properties": {"a": ' * 60 + "{}" + "}}" * 60),
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_schemas_end_soon_and_harm_nobody(local: Local, schema: dict[str, Any]) -> None:
    answer = await local.http.post(
        "/v1/chat/completions", json={**MUST, "tools": [tool("f", schema)], "max_tokens": 30}
    )
    assert answer.status_code in (200, 400), answer.text
    assert await choices(local, {**ASK, "max_tokens": 4})


async def test_recursive_schemas_are_taken(local: Local) -> None:
    tree = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    (row,) = await choices(local, {**MUST, "tools": [tool("f", tree)], "parallel_tool_calls": False})
    if row["finish_reason"] != "length":
        assert json.loads(row["message"]["tool_calls"][0]["function"]["arguments"]).keys() == {"next"}
