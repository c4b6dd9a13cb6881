"""What OpenAI's and vLLM's clients do as a matter of course: answers sent back, every field sent, null or neutral."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.openai import neutral_fields
from deployments.openai.schemas import ChatRequest, CompletionRequest, EmbeddingRequest
from tests.serving.conftest import BASE_ID, Local

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
ASK = {"role": "user", "content": "What is 17 + 25?"}


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": BASE_ID, "max_tokens": 1, "temperature": 0, "messages": [ASK], **fields}


def text(**fields: Any) -> dict[str, Any]:
    return {"model": BASE_ID, "max_tokens": 1, "temperature": 0, "prompt": "one two", **fields}


def embed(**fields: Any) -> dict[str, Any]:
    return {"model": "all-minilm-l6-v2", "input": "one two", **fields}


async def test_an_answer_is_sent_back_for_a_second_turn(local: Local) -> None:
    messages: list[Any] = [ASK]
    for _ in range(3):
        answer = await local.openai.chat.completions.create(model=BASE_ID, messages=messages, max_tokens=3)
        messages.append(answer.choices[0].message)
        messages.append({"role": "user", "content": "go on"})
    assert len(messages) == 7


async def test_an_answer_is_sent_back_with_every_field_of_its_type(local: Local) -> None:
    answer = await local.openai.chat.completions.create(model=BASE_ID, messages=[ASK], max_tokens=3)  # type: ignore[list-item]
    whole = answer.choices[0].message.model_dump()
    assert {"refusal", "annotations", "audio", "function_call", "tool_calls"} <= set(whole)
    body = chat(messages=[ASK, whole, {"role": "user", "content": "go on"}])
    assert (await local.http.post(CHAT, json=body)).status_code == 200


async def test_a_streamed_answer_is_sent_back(local: Local) -> None:
    parts: list[Any] = []
    stream = await local.openai.chat.completions.create(
        model=BASE_ID,
        messages=[ASK],  # type: ignore[list-item]
        max_tokens=3,
        stream=True,
    )
    async for chunk in stream:
        parts.append(chunk.choices[0].delta)
    said = {**parts[0].model_dump(), "content": "".join(part.content or "" for part in parts)}
    body = chat(messages=[ASK, said, {"role": "user", "content": "go on"}])
    assert (await local.http.post(CHAT, json=body)).status_code == 200


async def test_what_a_message_asks_nothing_with_changes_nothing(local: Local) -> None:
    plain = [ASK, {"role": "assistant", "content": ""}, {"role": "user", "content": "go on"}]
    said = {"role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": None, "tool_calls": []}
    full = [{**ASK, "name": None, "tool_calls": None}, said, {"role": "user", "content": "go on"}]
    left_out = [ASK, {"role": "assistant", "function_call": None}, {"role": "user", "content": "go on"}]
    answers = [
        (await local.http.post(CHAT, json=chat(messages=messages, max_tokens=4))).json()
        for messages in (plain, full, left_out)
    ]
    assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1
    assert len({answer["usage"]["prompt_tokens"] for answer in answers}) == 1


@pytest.mark.parametrize("role", ["user", "system", "developer"])
async def test_only_an_assistant_may_say_nothing(local: Local, role: str) -> None:
    for message in ({"role": role, "content": None}, {"role": role}):
        answer = await local.http.post(CHAT, json=chat(messages=[ASK, message]))
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == "messages.1.content"


@pytest.mark.parametrize(
    ("path", "body", "neutral", "model"),
    [
        (CHAT, chat(), neutral_fields.CHAT, ChatRequest),
        (TEXT, text(), neutral_fields.COMPLETION, CompletionRequest),
        (EMBED, embed(), neutral_fields.EMBEDDING, EmbeddingRequest),
    ],
    ids=["chat", "text", "embeddings"],
)
async def test_every_known_field_at_a_neutral_value_changes_nothing(
    local: Local, path: str, body: dict[str, Any], neutral: neutral_fields.Neutral, model: type[Any]
) -> None:
    optional = [name for name, field in model.model_fields.items() if not field.is_required()]
    bare = (await local.http.post(path, json=body)).json()
    nulls = {**dict.fromkeys([*optional, *neutral.values, *neutral.hints, *neutral.asked_by_empty]), **body}
    values = {name: values[-1] if values else [] for name, values in neutral.values.items()}
    hints = {name: {"anything": ["at", "all"]} for name in neutral.hints}
    for sent in (nulls, {**body, **values, **hints}):
        answer = await local.http.post(path, json=sent)
        assert answer.status_code == 200, answer.text
        assert said(answer.json()) == said(bare)


def said(answer: dict[str, Any]) -> Any:
    if "choices" not in answer:
        return answer["data"]
    return answer["choices"][0].get("text") or answer["choices"][0]["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "somebody", "metadata": {"a": "b"}, "store": True, "service_tier": "auto"},
        {"reasoning_effort": "low", "verbosity": "high", "parallel_tool_calls": False, "modalities": ["text"]},
        {"stream_options": {"include_usage": False}, "logprobs": False, "top_logprobs": 0},
        {"stop": "", "logit_bias": {}, "response_format": {"type": "text", "json_schema": None}},
        {"stop": [], "response_format": {}, "stream_options": {}},
        {"max_completion_tokens": 1},
        {"adaptrix": {"mix": None, "fork": None, "fallback": None}},
    ],
)
async def test_hints_and_defaults_are_accepted(local: Local, fields: dict[str, Any]) -> None:
    answer = await local.http.post(CHAT, json=chat(**fields))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"functions": [{"name": "f"}]}),
        (CHAT, {"function_call": {"name": "f"}}),
        (CHAT, {"modalities": ["audio"]}),
        (CHAT, {"web_search_options": {}}),
        (CHAT, {"length_penalty": 2.0}),
        (CHAT, {"chat_template": "{{ messages }}"}),
        (CHAT, {"use_beam_search": True}),
        (CHAT, {"best_of": True}),
        (CHAT, {"echo": 0}),
        (TEXT, {"suffix": "the end"}),
        (CHAT, {"echo": True}),
        (TEXT, {"best_of": 3}),
        (TEXT, {"functions": None}),
        (EMBED, {"truncate_prompt_tokens": 5}),
    ],
)
async def test_what_would_change_the_answer_is_refused_by_name(local: Local, path: str, fields: dict[str, Any]) -> None:
    body = {CHAT: chat, TEXT: text, EMBED: embed}[path](**fields)
    answer = await local.http.post(path, json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_field", next(iter(fields)))
    assert "remove it" in error["message"]


async def test_parts_of_a_message_may_carry_nulls(local: Local) -> None:
    part = {"type": "text", "text": "hi", "image_url": None, "input_audio": None, "file": None}
    assert (await local.http.post(CHAT, json=chat(messages=[{"role": "user", "content": [part]}]))).status_code == 200
    part["image_url"] = {"url": "data:"}  # type: ignore[assignment]
    answer = await local.http.post(CHAT, json=chat(messages=[{"role": "user", "content": [part]}]))
    assert answer.json()["error"]["param"] == "messages.0.content.0.image_url"
