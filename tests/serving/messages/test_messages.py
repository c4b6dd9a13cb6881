"""``POST /v1/messages`` with Anthropic's own client: the same answers as chat's, in that API's documents."""

from __future__ import annotations

import json
import re
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.serving.conftest import BASE_ID
from tests.serving.messages.conftest import KEY, Served

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/messages"
ASK: list[Any] = [{"role": "user", "content": "What is 17 + 25?"}]
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": BASE_ID, "messages": ASK, "max_tokens": 12, "temperature": 0, "ignore_eos": True, **fields}


async def said(served: Served, **fields: Any) -> dict[str, Any]:
    answer = await served.http.post(PATH, json=body(**fields))
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def chat(served: Served, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    asked = {"model": BASE_ID, "messages": messages, "max_tokens": 12, "temperature": 0, "ignore_eos": True, **fields}
    answer = await served.http.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def unknown_members(value: Any, place: str = "") -> list[str]:
    """Places of everything that was sent and has no field in the client's types."""
    if isinstance(value, list):
        return [name for number, one in enumerate(value) for name in unknown_members(one, f"{place}.{number}")]
    if not isinstance(value, BaseModel):
        return []
    known = [name for field, one in value for name in unknown_members(one, f"{place}.{field}")]
    return [f"{place}.{name}" for name in (value.model_extra or {})] + known


async def streamed(served: Served, **fields: Any) -> list[dict[str, Any]]:
    answer = await served.http.post(PATH, json=body(stream=True, **fields))
    assert answer.status_code == 200, answer.text
    found = re.findall(r"^event: (\S+)\ndata: (\{.*)$", answer.text, re.MULTILINE)
    documents = [json.loads(data) for _, data in found]
    assert [document["type"] for document in documents] == [name for name, _ in found]
    return documents


async def test_an_answer_has_all_that_the_client_reads_and_nothing_else(served: Served) -> None:
    read = Message.model_validate(await said(served))
    assert unknown_members(read) == []
    assert (read.stop_reason, read.stop_sequence, read.role) == ("max_tokens", None, "assistant")
    assert read.usage.output_tokens == 12


async def test_an_answer_is_what_chat_answers(served: Served) -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "1 + 1?"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "x"},
                                          {"type": "text", "text": "It is 2.", "citations": None}]},
        {"role": "user", "content": "What is 3?"},
    ]  # fmt: skip
    same = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "It is 2."},
        {"role": "user", "content": "What is 3?"},
    ]
    systems: list[Any] = [
        "Be short.",
        [{"type": "text", "text": "Be "}, {"type": "text", "text": "short.", "cache_control": {"type": "ephemeral"}}],
    ]
    for model in (BASE_ID, "math_reasoning"):
        expected = await chat(served, same, model=model)
        for system in systems:
            document = await said(served, messages=messages, system=system, model=model)
            assert document["content"][0]["text"] == expected["choices"][0]["message"]["content"]
            usage = document["usage"]
            assert usage["input_tokens"] + usage["cache_read_input_tokens"] == expected["usage"]["prompt_tokens"]
            assert document["model"] == expected["model"]


async def test_a_second_turn_reads_the_cache(served: Served) -> None:
    first = [{"role": "user", "content": "The quick brown fox jumps over the lazy dog. " * 8}]
    answer = await said(served, messages=first)
    turns = [*first, {"role": "assistant", "content": answer["content"]}, *ASK]
    assert (await said(served, messages=turns))["usage"]["cache_read_input_tokens"] > 0


async def test_an_answer_goes_on_with_what_it_is_said_to_have_begun_with(served: Served) -> None:
    begun = {"role": "assistant", "content": "It is"}
    document = await said(served, messages=[*ASK, begun])
    expected = await chat(served, [*ASK, begun], continue_final_message=True)
    assert document["content"][0]["text"] == expected["choices"][0]["message"]["content"]


async def test_stop_sequences_end_an_answer_and_are_told(served: Served) -> None:
    document = await said(served, stop_sequences=["a", "e", " ", "1"], max_tokens=500)
    assert document["stop_reason"] == "stop_sequence"
    assert document["stop_sequence"] in ("a", "e", " ", "1")


async def test_an_answer_that_ends_by_itself_says_so(served: Served) -> None:
    choice = {"type": "json_schema", "schema": {"type": "boolean"}}
    document = await said(served, output_config={"format": choice}, max_tokens=50, ignore_eos=False)
    assert document["stop_reason"] == "end_turn"
    assert json.loads(document["content"][0]["text"]) in (True, False)


async def test_events_are_in_order_and_of_the_clients_types(served: Served) -> None:
    documents = await streamed(served)
    for document in documents:
        if document["type"] != "ping":
            read = EVENT.validate_python(document)
            assert read.type == document["type"]
            assert unknown_members(read) == []
    kinds = [document["type"] for document in documents]
    deltas = kinds.count("content_block_delta")
    assert deltas > 1
    assert kinds == [
        "message_start",
        "ping",
        "content_block_start",
        *["content_block_delta"] * deltas,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


async def test_the_client_follows_a_stream(served: Served) -> None:
    async with served.client.messages.stream(
        model=BASE_ID, messages=ASK, max_tokens=12, extra_body={"temperature": 0, "ignore_eos": True}
    ) as stream:
        text = "".join([part async for part in stream.text_stream])
        final = await stream.get_final_message()
    whole = await said(served)
    assert text == whole["content"][0]["text"]
    assert final.content[0].text == text  # type: ignore[union-attr]
    assert final.stop_reason == "max_tokens"
    usage = final.usage
    assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == sum(
        whole["usage"][name] for name in ("input_tokens", "cache_read_input_tokens")
    )
    assert usage.output_tokens == 12


async def test_the_client_reads_a_whole_answer_and_sends_it_back(served: Served) -> None:
    answer = await served.client.messages.create(model="auto", messages=ASK, max_tokens=4, system="Be short.")
    assert answer.model == "math_reasoning@1.0.0" or answer.model.startswith("math_reasoning")
    turns: list[Any] = [*ASK, answer.to_param(), {"role": "user", "content": "go on"}]
    again = await served.client.messages.create(model=BASE_ID, messages=turns, max_tokens=4)
    assert again.usage.output_tokens == 4


async def test_keys_come_in_either_header(served: Served) -> None:
    for headers, status in (
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": "wrong"}, 401),
        ({"authorization": f"Bearer {KEY}", "x-api-key": "wrong"}, 200),
        ({"authorization": "Bearer wrong", "x-api-key": KEY}, 401),
        ({"x-api-key": ""}, 401),
    ):
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key="none", max_retries=0) as client:
            answer = await client._client.post(f"{served.url}{PATH}", json=body(), headers=headers)
        assert answer.status_code == status, headers
        if status == 401:
            assert answer.json()["error"]["type"] == "authentication_error"


async def test_errors_are_those_of_the_client(served: Served) -> None:
    create = served.client.messages.create
    with pytest.raises(anthropic.NotFoundError) as missing:
        await create(model="nobody", messages=ASK, max_tokens=4)
    assert missing.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]
    with pytest.raises(anthropic.BadRequestError) as bad:
        await create(model=BASE_ID, messages=ASK, max_tokens=5000)
    assert bad.value.body["error"]["type"] == "invalid_request_error"  # type: ignore[index]
    stranger = anthropic.AsyncAnthropic(base_url=served.url, api_key="wrong", max_retries=0)
    async with stranger:
        with pytest.raises(anthropic.AuthenticationError):
            await stranger.messages.create(model=BASE_ID, messages=ASK, max_tokens=4)
    assert (await served.http.post(PATH, content=b"{")).json()["type"] == "error"
    for path in (f"{PATH}/batches", f"{PATH}/"):
        answer = await served.http.get(path)
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    wrong_method = await served.http.get(PATH)
    assert (wrong_method.status_code, wrong_method.json()["type"]) == (405, "error")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools"),
        ({"mcp_servers": [{"type": "url", "url": "http://x"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages.0.role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}]},
            "messages.0.content.0.type",
        ),
        ({"messages": [{"role": "user", "content": [{"type": ["text"]}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "messages.0.content"),
        ({"stop_sequences": [""]}, "stop_sequences"),
        ({"stop_sequences": ["a"] * 100}, "stop_sequences"),
        ({"system": [{"type": "image"}]}, "system.0"),
        ({"adaptrix": {"fork": ["math_reasoning", None]}}, "adaptrix.fork"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
    ],
)
async def test_what_cannot_be_served_is_refused_by_name(served: Served, fields: dict[str, Any], named: str) -> None:
    asked = {name: value for name, value in body(**fields).items() if value is not None}
    answer = await served.http.post(PATH, json=asked)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"type", "error"}
    assert named in answer.json()["error"]["message"]


async def test_what_asks_for_nothing_is_accepted(served: Served) -> None:
    plain = await said(served)
    full = await said(
        served,
        metadata={"user_id": "somebody"},
        service_tier="auto",
        thinking={"type": "disabled"},
        cache_control={"type": "ephemeral"},
        output_config={"effort": "low"},
        container=None,
        tools=[],
        top_k=-1,
    )
    assert full["content"] == plain["content"]
