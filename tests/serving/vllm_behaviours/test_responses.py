"""Responses: input in its forms, what is kept, streams, log-probabilities, forms."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from openai.types import responses as types
from pydantic import BaseModel

from tests.serving.conftest import BASE_ID, Local
from tests.serving.vllm_behaviours.rows import Row, respond, rows

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVENT = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 6}, "day": {"enum": ["Friday", "Monday"]}},
    "required": ["name", "day"],
    "additionalProperties": False,
}


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def assistant(**more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}], **more}


def reasoning(**more: Any) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": None, **more}


def text_of(answer: Any) -> str:
    return str(answer["output"][-1]["content"][0]["text"])


def is_cut(answer: Any) -> bool:
    return bool(answer["status"] == "incomplete" and answer["incomplete_details"]["reason"] == "max_output_tokens")


@rows(
    ("a text", {}, lambda a: a["output"][-1]["type"] == "message" and text_of(a)),
    ("instructions beside it", {"instructions": "Finish the answer with QED."}, text_of),
    (
        "a chat",
        {"input": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "What is 5 * 3?"},
                   {"role": "assistant", "content": "15."}, {"role": "user", "content": "Twice that?"}]},
        text_of,
    ),
    ("parts of text", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}]}, text_of),
    (
        "an answer of before, with its id",
        {"input": [user("a"), assistant(id="msg_1", status="completed"), user("b")]},
        text_of,
    ),
    ("an answer of before, without", {"input": [user("a"), assistant(), user("b")]}, text_of),
    (
        "reasoning of before, with its id",
        {"input": [user("a"), assistant(id="m", status="completed"), reasoning(id="r", status="completed"), user("b")]},
        text_of,
    ),
    ("reasoning of before, without", {"input": [user("a"), assistant(), reasoning(), user("b")]}, text_of),
    (
        "reasoning in words, after the question",
        {"input": [user("Hello."), reasoning(id="lol", content=[{"type": "reasoning_text", "text": "We greet."}])]},
        text_of,
    ),
    ("an effort of reasoning", {"reasoning": {"effort": "low"}}, text_of),
    ("the end of the tokens", {"max_output_tokens": 3}, is_cut),
    (
        "further ways of sampling",
        {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.2, "seed": 42},
        text_of,
    ),
    (
        "log-probabilities",
        {"include": ["message.output_text.logprobs"], "top_logprobs": 5},
        lambda a: len(a["output"][-1]["content"][-1]["logprobs"][0]["top_logprobs"]) == 5,
    ),
    ("no functions", {"tools": [], "background": False}, text_of),
    (
        "a schema for the text",
        {"text": {"format": {"type": "json_schema", "name": "event", "schema": EVENT, "strict": True,
                             "description": "An event."}}, "max_output_tokens": 60},
        lambda a: set(json.loads(text_of(a))) == {"name", "day"},
    ),
    ("a regular expression", {"structured_outputs": {"regex": r"\d{3}"}}, lambda a: text_of(a).isdigit()),
    ("one of several texts", {"structured_outputs": {"choice": ["yes", "no"]}}, lambda a: text_of(a) in ("yes", "no")),
    ("a grammar", {"structured_outputs": {"grammar": 'root ::= "hello"'}}, lambda a: text_of(a) == "hello"),
)  # fmt: skip
async def test_an_answer(local: Local, row: Row) -> None:
    assert row.holds(await respond(local, **{"ignore_eos": True, **row.fields}))


class Event(BaseModel):
    raining: bool
    day: Literal["Friday", "Monday"]


async def test_the_client_parses_the_form_that_it_asks_for(local: Local) -> None:
    answer = await local.openai.responses.parse(
        model=BASE_ID, input="An event.", text_format=Event, max_output_tokens=60
    )
    assert isinstance(answer.output_parsed, Event)


async def test_a_response_is_kept_unless_it_shall_not_be(local: Local) -> None:
    kept, gone = await respond(local), await respond(local, store=False)
    found = await local.openai.responses.retrieve(kept["id"])
    assert (found.id, found.status) == (kept["id"], kept["status"])
    with pytest.raises(openai.NotFoundError):
        await local.openai.responses.retrieve(gone["id"])


async def test_two_responses_go_on_from_one(local: Local) -> None:
    first = await respond(local, instructions="Remember.", input="My name is John.")
    second = [
        await respond(local, input=text, previous_response_id=first["id"]) for text in ("It is Mark.", "My name?")
    ]
    third = await respond(local, input="My name?", previous_response_id=second[0]["id"])
    assert second[1]["usage"]["input_tokens"] < third["usage"]["input_tokens"]
    assert first["usage"]["input_tokens"] < second[0]["usage"]["input_tokens"]


async def test_a_stream_begins_and_ends_with_its_events(local: Local) -> None:
    events = [event async for event in await local.openai.responses.create(
        model=BASE_ID, input="Say hello.", stream=True, max_output_tokens=6
    )]  # fmt: skip
    assert isinstance(events[0], types.ResponseCreatedEvent)
    assert isinstance(events[-1], (types.ResponseCompletedEvent, types.ResponseIncompleteEvent))
    parts = [event.delta for event in events if isinstance(event, types.ResponseTextDeltaEvent)]
    assert "".join(parts) == events[-1].response.output_text


async def test_a_streams_log_probabilities(local: Local) -> None:
    include = ["message.output_text.logprobs"]
    events = await respond(local, stream=True, top_logprobs=3, include=include, ignore_eos=True)
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    told = [one for event in deltas for one in event["logprobs"]]
    assert len(told) == 6
    assert all(one["logprob"] <= 0 and len(one["top_logprobs"]) == 3 for one in told)


async def test_events_come_in_pairs(local: Local) -> None:
    kinds = [event["type"] for event in await respond(local, stream=True, tools=[], background=False)]
    for kind in ("output_item", "content_part"):
        assert kinds.count(f"response.{kind}.added") == kinds.count(f"response.{kind}.done") == 1
        assert kinds.index(f"response.{kind}.added") < kinds.index(f"response.{kind}.done")
