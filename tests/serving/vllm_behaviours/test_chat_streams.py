"""Chat, streamed: text, ends and usage."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import Local
from tests.serving.vllm_behaviours.rows import Row, chat, every_model, finishes, rows, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


def usages(events: Any) -> list[Any]:
    return [event["usage"] for event in events]


def adds_up(usage: Any) -> bool:
    return bool(usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0)


def grows(events: Any) -> bool:
    counts = [event["usage"]["completion_tokens"] for event in events if event["choices"]]
    return counts == sorted(counts) and counts[-1] == usages(events)[-1]["completion_tokens"] == 10


@every_model
@rows(
    ("one end, at the end", {}, lambda e: finishes(e) == [e[-1]["choices"][0]["finish_reason"]]),
    (
        "whoever speaks is the assistant",
        {},
        lambda e: {event["choices"][0]["delta"]["role"] for event in e} <= {"assistant", None},
    ),
    ("no usage where none is wanted", {"stream_options": {"include_usage": False}}, lambda e: not any(usages(e))),
    ("no usage for empty options", {"stream_options": {}}, lambda e: not any(usages(e))),
    (
        "usage once, in a last event without choices",
        {"stream_options": {"include_usage": True, "continuous_usage_stats": False}},
        lambda e: not any(usages(e)[:-1]) and e[-1]["choices"] == [] and adds_up(e[-1]["usage"]),
    ),
    (
        "no usage so far without usage",
        {"stream_options": {"include_usage": False, "continuous_usage_stats": True}},
        lambda e: not any(usages(e)),
    ),
    (
        "usage so far in every event, growing",
        {
            "stream_options": {"include_usage": True, "continuous_usage_stats": True},
            "min_tokens": 10,
            "max_completion_tokens": 10,
        },
        lambda e: all(map(adds_up, usages(e))) and grows(e),
    ),
    (
        "two choices, both with text",
        {"n": 2, "temperature": 0.7, "max_completion_tokens": 15, "seed": 2},
        lambda e: text_of(e, 0) and text_of(e, 1) and len(finishes(e)) == 2,
    ),
    (
        "ids of the prompt in the first event alone",
        {"return_token_ids": True},
        lambda e: (
            bool(e[0]["prompt_token_ids"])
            and e[0]["choices"][0]["delta"]["role"]
            and not any(event.get("prompt_token_ids") for event in e[1:])
        ),
    ),
    (
        "ids of all tokens, in parts",
        {"return_token_ids": True},
        lambda e: sum(len(event["choices"][0].get("token_ids") or ()) for event in e) == 6,
    ),
)
async def test_a_stream(local: Local, model: str, row: Row) -> None:
    assert row.holds(await chat(local, model, **{"ignore_eos": True, **row.fields}, stream=True))


@every_model
async def test_a_stream_says_what_a_whole_answer_says(local: Local, model: str) -> None:
    whole = await chat(local, model)
    events = await chat(local, model, stream=True)
    assert text_of(events) == text_of(whole)
    assert finishes(events) == [whole["choices"][0]["finish_reason"]]
