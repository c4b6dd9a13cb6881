"""Bodies that are cheap to send cost little to refuse: bounded time, a short answer, a code of their own."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from deployments.http.bodies import parse_body
from deployments.http.errors import error_response
from deployments.http.json_body import num_values, parse_json
from deployments.openai.body import Body
from deployments.openai.schemas import ChatRequest, CompletionRequest, EmbeddingRequest
from deployments.responses.request import ResponsesRequest

LIMIT = 4 << 20
"""Bytes of a body, as the server's default has it."""
LONGEST_S = 5.0
"""To refuse any of them. What was quadratic took a minute and more."""
MAX_ANSWER = 32_000
MAX_CHARACTERS = 524_288


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}


def text(prompt: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "prompt": prompt, **fields}


def filled(pattern: str, size: int = LIMIT - 200) -> str:
    return pattern * (size // len(pattern))


def deep(levels: int) -> Any:
    document: Any = 1
    for _ in range(levels):
        document = [document]
    return document


def raw(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def asked(sent: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "m", "input": sent, **fields}


def told(body: Any, model: type[Body]) -> tuple[str, bytes]:
    """The code and the answer for a body that is refused, in bounded time."""
    data = raw(body)
    assert len(data) <= LIMIT
    began = time.perf_counter()
    with pytest.raises(InvalidRequest) as caught:
        parse_body(data, model, MAX_CHARACTERS)
    answer = bytes(error_response(caught.value).body)
    assert time.perf_counter() - began < LONGEST_S
    return caught.value.code, answer


@pytest.mark.parametrize(
    ("body", "model", "code"),
    [
        (text([1.5] * 20_000), CompletionRequest, "invalid_request"),
        (text([1.5] * 100_000), CompletionRequest, "invalid_request"),
        (text(["a"] * 140_000), CompletionRequest, "invalid_request"),
        (text([[1.5] * 2000] * 64), CompletionRequest, "invalid_request"),
        (text([[]] * 60_000), CompletionRequest, "invalid_request"),
        (text([None] * 100_000), CompletionRequest, "invalid_request"),
        (text({"a": 1}), CompletionRequest, "invalid_request"),
        (text("x" * (MAX_CHARACTERS + 1)), CompletionRequest, "text_too_long"),
        (text(["x" * 10_000] * 60), CompletionRequest, "text_too_long"),
        (text(filled("\\")[: LIMIT // 2 - 100]), CompletionRequest, "text_too_long"),
        (chat(messages=[{"role": "user", "content": "é" * 600_000}]), ChatRequest, "text_too_long"),
        (chat(messages=[{"role": "user"}] * 40_000), ChatRequest, "invalid_request"),
        (chat(messages=[{"role": "user", "content": [{"type": "text"}] * 40_000}]), ChatRequest, "invalid_request"),
        (
            chat(messages=[{"role": "wizard", "content": [1] * 100} for _ in range(1000)]),
            ChatRequest,
            "invalid_request",
        ),
        (chat(logit_bias={f"x{n}": "much" for n in range(60_000)}), ChatRequest, "invalid_request"),
        (chat(logit_bias={f"x{n}": "much" for n in range(1000)}), ChatRequest, "invalid_request"),
        (chat(adaptrix={"mix": {f"x{n}": "much" for n in range(60_000)}}), ChatRequest, "invalid_request"),
        (chat(adaptrix={"fork": [1] * 100_000}), ChatRequest, "invalid_request"),
        (chat(stop=[1] * 100_000), ChatRequest, "invalid_request"),
        (chat(**{f"field{n}": n for n in range(70_000)}), ChatRequest, "unsupported_field"),
        (chat(**{"é" * 600_000: 1}), ChatRequest, "unsupported_field"),
        (chat(temperature="\x00" * 600_000), ChatRequest, "invalid_request"),
        (chat(tools=[deep(150)] * 700), ChatRequest, "invalid_request"),
        (asked([1] * 100_000), ResponsesRequest, "invalid_request"),
        (asked([{"role": "user", "content": [{"type": "input_text"}] * 40_000}]), ResponsesRequest, "invalid_request"),
        (asked([{"type": ["message"] * 100}] * 1000), ResponsesRequest, "invalid_request"),
        (asked("a", metadata={f"x{n}": n for n in range(60_000)}), ResponsesRequest, "invalid_request"),
        (asked("a", tools=[deep(150)] * 700), ResponsesRequest, "invalid_request"),
        (asked("é" * 600_000), ResponsesRequest, "text_too_long"),
        ({"model": "m", "input": [" "] * 2048}, EmbeddingRequest, "invalid_request"),
        ({"model": "m", "input": ["a"] * 100_000}, EmbeddingRequest, "invalid_request"),
        ({"model": "m", "input": ["a" * 300] * 2048}, EmbeddingRequest, "text_too_long"),
        (b'{"a":[' + filled("[],").encode() + b"1]}", ChatRequest, "json_too_many_values"),
        (b'{"a":[' + filled("{},").encode() + b"1]}", ChatRequest, "json_too_many_values"),
        (b'{"a":[' + filled('"",').encode() + b"1]}", ChatRequest, "json_too_many_values"),
        (b'{"a":[' + filled('"\\"",').encode() + b"1]}", ChatRequest, "json_too_many_values"),
        (b'{"a":[' + filled("1,").encode() + b"1]}", ChatRequest, "json_too_many_values"),
        (b'{"a":' * 800_000, ChatRequest, "json_too_many_values"),
        (b'{"a":' + b"1" * (LIMIT - 10) + b"}", ChatRequest, "number_too_long"),
        (b'{"a":' + b"1e" * 1_000_000 + b"}", ChatRequest, "invalid_json"),
        (b'{"a":' + b"[" * 100_000, ChatRequest, "json_too_deep"),
        (b'"' + b"\\u0000" * 600_000, ChatRequest, "invalid_json"),
        (b" " * LIMIT, ChatRequest, "invalid_json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_costly_bodies_are_refused_cheaply_and_shortly(body: Any, model: type[Body], code: str) -> None:
    told_code, answer = told(body, model)
    assert told_code == code
    assert len(answer) < MAX_ANSWER
    assert set(json.loads(answer)["error"]) == {"message", "type", "code", "param"}


def test_ten_faults_are_told_and_that_there_are_more() -> None:
    code, answer = told(chat(temperature="hot", **{f"field{n}": n for n in range(30)}), ChatRequest)
    message = json.loads(answer)["error"]["message"]
    assert code == "invalid_request"
    assert message.count(";") <= 2 * 10
    assert "more" in message


def test_faults_of_a_prompt_are_those_of_the_form_that_it_has() -> None:
    _, answer = told(text([5, 6, "seven"]), CompletionRequest)
    assert json.loads(answer)["error"] == {
        "message": "prompt.2: should be a valid integer, not 'seven'",
        "type": "invalid_request_error",
        "code": "invalid_request",
        "param": "prompt.2",
    }


@pytest.mark.parametrize(
    "body",
    [
        text([[7] * 2048] * 64),
        text("a, b: [c] {d} " * 35_000),
        text('a "quoted\\" word, ' * 25_000),
        text("7" * 500_000),
        chat(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}] * 1000}] * 20),
        chat(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"deep": deep(180)}}}),
    ],
    ids=["token ids", "marks in text", "quotes in text", "digits in text", "parts", "deep schema"],
)
def test_large_bodies_of_sense_are_taken(body: dict[str, Any]) -> None:
    model = CompletionRequest if "prompt" in body else ChatRequest
    began = time.perf_counter()
    parse_body(raw(body), model, MAX_CHARACTERS)
    assert time.perf_counter() - began < LONGEST_S


def test_limits_lie_where_they_are_told() -> None:
    most = json.dumps([1] * (MOST.json_values - 2)).encode()
    assert num_values(most) == MOST.json_values - 1
    assert len(parse_json(most)) == MOST.json_values - 2
    with pytest.raises(InvalidRequest, match=str(MOST.json_values)):
        parse_json(json.dumps([1] * MOST.json_values).encode())
    assert parse_json(b"1" * MOST.json_digits) == int("1" * MOST.json_digits)
    with pytest.raises(InvalidRequest, match=str(MOST.json_digits)):
        parse_json(b"1" * (MOST.json_digits + 1))
    assert parse_json(json.dumps(deep(200)).encode()) == deep(200)
    with pytest.raises(InvalidRequest, match="200"):
        parse_json(json.dumps(deep(201)).encode())
