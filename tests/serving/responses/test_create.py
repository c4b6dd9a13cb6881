"""``POST /v1/responses`` with OpenAI's own client: the same answers as chat's, in that API's documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from tests.serving.conftest import BASE_ID, Local
from tests.serving.responses import strictly

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH = "/v1/responses"
ASK = "What is 17 + 25?"


def body(**fields: Any) -> dict[str, Any]:
    return {"model": BASE_ID, "input": ASK, "max_output_tokens": 12, "temperature": 0, "ignore_eos": True, **fields}


async def said(local: Local, **fields: Any) -> dict[str, Any]:
    answer = await local.http.post(PATH, json=body(**fields))
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def chat(local: Local, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    asked = {"model": BASE_ID, "messages": messages, "max_tokens": 12, "temperature": 0, "ignore_eos": True, **fields}
    answer = await local.http.post("/v1/chat/completions", json=asked)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def text_of(document: dict[str, Any]) -> str:
    return str(document["output"][0]["content"][0]["text"])


async def test_an_answer_has_all_that_the_client_reads_and_nothing_else(local: Local) -> None:
    plain = strictly.response(await said(local))
    full = strictly.response(
        await said(
            local,
            instructions="Be short.",
            metadata={"a": "b"},
            user="somebody",
            safety_identifier="s",
            prompt_cache_key="k",
            top_p=0.5,
            top_logprobs=2,
            text={"format": {"type": "text"}, "verbosity": "low"},
            include=["message.output_text.logprobs", "reasoning.encrypted_content"],
            reasoning={"effort": "low"},
        )
    )
    assert (plain.status, plain.incomplete_details.reason) == ("incomplete", "max_output_tokens")  # type: ignore[union-attr]
    assert (full.instructions, full.metadata, full.user) == ("Be short.", {"a": "b"}, "somebody")
    assert (full.top_p, full.temperature, full.max_output_tokens) == (0.5, 0.0, 12)
    assert full.usage is not None
    assert full.usage.total_tokens == full.usage.input_tokens + full.usage.output_tokens
    assert full.usage.output_tokens == 12


async def test_an_answer_is_what_chat_answers(local: Local) -> None:
    items = [
        {"role": "user", "content": "What is 1 + 1?"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It is 2."}]},
        {"role": "user", "content": [{"type": "input_text", "text": "What is "}, {"type": "input_text", "text": "3?"}]},
    ]
    same = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "It is 2."},
        {"role": "user", "content": "What is 3?"},
    ]
    for model in (BASE_ID, "math_reasoning", "math_reasoning*0.5+code_generation*0.5"):
        document = await said(local, input=items, instructions="Be short.", model=model)
        expected = await chat(local, same, model=model)
        assert text_of(document) == expected["choices"][0]["message"]["content"]
        assert document["usage"]["input_tokens"] == expected["usage"]["prompt_tokens"]
        assert document["model"] == expected["model"]


async def test_who_answers_is_told_as_in_chat(local: Local) -> None:
    answer = await local.http.post(PATH, json=body(model="auto"))
    assert answer.headers["x-adaptrix-adapter"] == "math_reasoning"
    assert "x-adaptrix-route-score" in answer.headers
    mixed = await local.http.post(PATH, json=body(adaptrix={"mix": {"math_reasoning": 0.5}, "scores": ["logprob_sum"]}))
    assert mixed.headers["x-adaptrix-adapter"] == "math_reasoning*0.5"
    assert mixed.json()["adaptrix"]["scores"]["logprob_sum"] < 0


async def test_the_client_reads_the_answer(local: Local) -> None:
    answer = await local.openai.responses.create(model=BASE_ID, input=ASK, max_output_tokens=5, extra_body={"seed": 7})
    assert answer.output_text
    assert answer.id.startswith("resp_")
    again = await local.openai.responses.create(
        model=BASE_ID,
        input=[{"role": "user", "content": ASK}, *answer.output, {"role": "user", "content": "go on"}],  # type: ignore[list-item]
        max_output_tokens=5,
    )
    assert again.usage is not None
    assert answer.usage is not None
    assert again.usage.input_tokens > answer.usage.input_tokens


async def test_an_answer_that_ends_by_itself_is_complete(local: Local) -> None:
    document = strictly.response(await said(local, stop=["a", "e", "i", " ", "1"], max_output_tokens=500))
    assert document.status == "completed"
    assert document.completed_at is not None
    assert document.incomplete_details is None


class Weather(BaseModel):
    warm: bool
    dry: bool


async def test_the_client_parses_the_form_it_asks_for(local: Local) -> None:
    answer = await local.openai.responses.parse(
        model=BASE_ID, input=ASK, text_format=Weather, max_output_tokens=200, temperature=0
    )
    assert answer.status == "completed"
    assert isinstance(answer.output_parsed, Weather)


async def test_text_formats_hold_the_text_to_a_form(local: Local) -> None:
    schema = {"type": "object", "properties": {"warm": {"type": "boolean"}}, "required": ["warm"]}
    named = {"type": "json_schema", "name": "weather", "schema": schema, "strict": True}
    document = await said(local, text={"format": named}, max_output_tokens=200, ignore_eos=False)
    assert set(json.loads(text_of(document))) == {"warm"}
    assert document["text"]["format"] == {**named, "description": None}
    choice = {"choice": ["warm", "cold"]}
    document = await said(local, structured_outputs=choice, max_output_tokens=200, ignore_eos=False)
    assert text_of(document) in ("warm", "cold")


async def test_log_probabilities_are_those_of_chat(local: Local) -> None:
    document = await said(local, include=["message.output_text.logprobs"], top_logprobs=3)
    expected = await chat(local, [{"role": "user", "content": ASK}], logprobs=True, top_logprobs=3)
    told = document["output"][0]["content"][0]["logprobs"]
    chosen = expected["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in told] == [one["token"] for one in chosen]
    assert [one["logprob"] for one in told] == pytest.approx([one["logprob"] for one in chosen], abs=1e-4)
    assert all(len(one["top_logprobs"]) == 3 for one in told)
    assert (await said(local))["output"][0]["content"][0]["logprobs"] == []


async def test_reasoning_of_other_models_is_dropped(local: Local) -> None:
    ask = {"role": "user", "content": ASK}
    thought = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "status": None}
    sealed = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "xyz"}
    assert text_of(await said(local, input=[thought, ask, sealed])) == text_of(await said(local, input=[ask]))


async def test_truncation_leaves_out_what_there_is_no_room_for(local: Local) -> None:
    long = "one two three four five " * 1000
    items = [{"role": "user", "content": long}, {"role": "user", "content": ASK}]
    answer = await local.http.post(PATH, json=body(input=items))
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "context_length_exceeded"
    assert text_of(await said(local, input=items, truncation="auto")) == text_of(await said(local))
    assert (await said(local, input=long, truncation="auto"))["usage"]["input_tokens"] > 3000
