"""Completions, whole and streamed: prompts, log-probabilities, echo, choices, usage."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving.conftest import Local
from tests.serving.vllm_behaviours.rows import PROMPT, Row, complete, every_model, finishes, refusal, rows, text_of
from tests.serving.vllm_behaviours.test_chat_streams import adds_up, usages

pytestmark = pytest.mark.asyncio(loop_scope="session")

IDS = [10, 20, 30, 40, 50]
TWO = ["A robot may not injure another robot", "My name is"]


def first(answer: Any) -> Any:
    return answer["choices"][0]


@every_model
@rows(
    ("an answer has an id and one choice", {}, lambda a: a["id"] and len(a["choices"]) == 1),
    ("an answer that is cut says so", {}, lambda a: first(a)["finish_reason"] == "length"),
    (
        "usage counts every token, and those of the cache apart",
        {"max_tokens": 5},
        lambda a: (
            a["usage"]["completion_tokens"] == 5
            and adds_up(a["usage"])
            and a["usage"]["prompt_tokens_details"]["cached_tokens"] >= 0
        ),
    ),
    ("token ids for a prompt", {"prompt": IDS}, lambda a: text_of(a) and first(a).get("prompt_logprobs") is None),
    ("no log-probabilities for null", {"prompt": IDS, "logprobs": None}, lambda a: first(a)["logprobs"] is None),
    (
        "the chosen token alone for 0",
        {"prompt": IDS, "logprobs": 0},
        lambda a: (
            len(first(a)["logprobs"]["token_logprobs"]) == 6 and len(first(a)["logprobs"]["top_logprobs"][0]) == 1
        ),
    ),
    (
        "five or six for 5",
        {"prompt": IDS, "logprobs": 5},
        lambda a: all(5 <= len(one) <= 6 for one in first(a)["logprobs"]["top_logprobs"]),
    ),
    (
        "the end of a prompt that is cut",
        {"prompt": IDS, "truncate_prompt_tokens": 2, "return_token_ids": True},
        lambda a: first(a)["prompt_token_ids"] == IDS[-2:],
    ),
    (
        "the end where that side is named",
        {"prompt": IDS, "truncate_prompt_tokens": 2, "truncation_side": "left", "return_token_ids": True},
        lambda a: first(a)["prompt_token_ids"] == IDS[-2:],
    ),
    ("log-probabilities of two prompts, 0", {"prompt": TWO, "prompt_logprobs": 0}, lambda a: both(a)),
    ("log-probabilities of two prompts, 1", {"prompt": TWO, "prompt_logprobs": 1}, lambda a: both(a)),
    ("none of them", {"prompt": TWO}, lambda a: first(a).get("prompt_logprobs") is None),
    ("two like prompts, one text", {"prompt": [PROMPT] * 2}, lambda a: text_of(a, 0) == text_of(a, 1)),
    ("two like prompts of ids, one text", {"prompt": [IDS] * 2}, lambda a: text_of(a, 0) == text_of(a, 1)),
    (
        "two choices for each of two prompts, in their order",
        {"prompt": [PROMPT] * 2, "n": 2},
        lambda a: [one["index"] for one in a["choices"]] == [0, 1, 2, 3],
    ),
    (
        "three choices, all different, each with its end",
        {"n": 3, "temperature": 1.0, "seed": 42, "max_tokens": 40, "logprobs": 0},
        lambda a: (
            len({text_of(a, index) for index in range(3)}) == 3 and all(one["finish_reason"] for one in a["choices"])
        ),
    ),
    ("an echo of a text", {"echo": True}, lambda a: text_of(a).startswith(PROMPT)),
    ("an echo with log-probabilities, 1", {"echo": True, "logprobs": 1}, lambda a: echoes(a, 1)),
    ("an echo with log-probabilities, 0", {"echo": True, "logprobs": 0}, lambda a: echoes(a, 0)),
    ("an echo of ids, 1", {"prompt": IDS, "echo": True, "logprobs": 1}, lambda a: echoes(a, 1)),
    ("an echo of ids, 0", {"prompt": IDS, "echo": True, "logprobs": 0}, lambda a: echoes(a, 0)),
    (
        "ids of prompt and answer, beside an echo",
        {"prompt": IDS, "echo": True, "return_token_ids": True},
        lambda a: first(a)["prompt_token_ids"] == IDS and 0 < len(first(a)["token_ids"]) <= 6,
    ),
    (
        "ids are those of the tokens by number",
        {
            "echo": True,
            "logprobs": 1,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            "prompt_logprobs": 1,
        },
        lambda a: numbers(first(a)["logprobs"]["tokens"]) == first(a)["prompt_token_ids"] + first(a)["token_ids"],
    ),
    (
        "likeliest tokens by number as well",
        {"logprobs": 1, "return_tokens_as_token_ids": True},
        lambda a: [next(iter(one)) for one in first(a)["logprobs"]["top_logprobs"]] == first(a)["logprobs"]["tokens"],
    ),
    ("no ids where none are wanted", {"return_token_ids": False}, lambda a: first(a).get("token_ids") is None),
    (
        "only tokens that are allowed",
        {"allowed_token_ids": [70, 71], "return_token_ids": True},
        lambda a: set(first(a)["token_ids"]) <= {70, 71},
    ),
    (
        "a prompt alone, for its log-probabilities",
        {"echo": True, "logprobs": 1, "max_tokens": 0},
        lambda a: text_of(a) == PROMPT and first(a)["logprobs"]["token_logprobs"][0] is None,
    ),
)
async def test_an_answer(local: Local, model: str, row: Row) -> None:
    assert row.holds(await complete(local, model, **{"ignore_eos": True, **row.fields}))


def both(answer: Any) -> bool:
    return all(len(choice["prompt_logprobs"]) > 1 for choice in answer["choices"]) and len(answer["choices"]) == 2


def echoes(answer: Any, wanted: int) -> bool:
    told = first(answer)["logprobs"]
    lengths = {len(told[name]) for name in ("text_offset", "token_logprobs", "top_logprobs", "tokens")}
    counts = [len(one) for one in told["top_logprobs"][1:]]
    return (
        len(lengths) == 1
        and lengths.pop() > 6
        and told["token_logprobs"][0] is told["top_logprobs"][0] is None
        and all(max(wanted, 1) <= count <= wanted + 1 for count in counts)
    )


def numbers(tokens: list[str]) -> list[int]:
    return [int(token.removeprefix("token_id:")) for token in tokens]


@every_model
@rows(
    ("one end, in the last event, which has text", {}, lambda e: finishes(e) == ["length"] and bool(e[-1]["choices"])),
    (
        "three choices, told apart by their index",
        {"n": 3, "temperature": 1.0, "seed": 42, "max_tokens": 40},
        lambda e: len(finishes(e)) == 3 and len({text_of(e, index) for index in range(3)}) == 3,
    ),
    (
        "two like prompts, one text",
        {"prompt": [PROMPT] * 2},
        lambda e: text_of(e, 0) == text_of(e, 1) and all(len(event["choices"]) == 1 for event in e),
    ),
    (
        "no usage where none is wanted",
        {"stream_options": {"include_usage": False, "continuous_usage_stats": False}},
        lambda e: not any(usages(e)),
    ),
    (
        "no usage so far without usage",
        {"stream_options": {"include_usage": False, "continuous_usage_stats": True}},
        lambda e: not any(usages(e)),
    ),
    (
        "usage once, in a last event without choices",
        {"stream_options": {"include_usage": True, "continuous_usage_stats": False}},
        lambda e: not any(usages(e)[:-1]) and e[-1]["choices"] == [] and adds_up(e[-1]["usage"]),
    ),
    (
        "usage so far in every event",
        {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
        lambda e: all(map(adds_up, usages(e))) and e[-1]["choices"] == [],
    ),
    ("no usage for empty options", {"stream_options": {}}, lambda e: not any(usages(e))),
    (
        "ids and tokens by number are the same",
        {"logprobs": 1, "return_token_ids": True, "return_tokens_as_token_ids": True},
        lambda e: (
            e[0]["choices"][0]["prompt_token_ids"]
            and [token for event in e for token in event["choices"][0]["token_ids"]]
            == [number for event in e for number in numbers(event["choices"][0]["logprobs"]["tokens"])]
        ),
    ),
)
async def test_a_stream(local: Local, model: str, row: Row) -> None:
    assert row.holds(await complete(local, model, **{"ignore_eos": True, **row.fields}, stream=True))


@every_model
async def test_a_stream_says_what_a_whole_answer_says(local: Local, model: str) -> None:
    fields = {"logprobs": 0, "stop": ["\n\n"]}
    whole, events = await complete(local, model, **fields), await complete(local, model, **fields, stream=True)
    assert text_of(events) == text_of(whole)
    offsets = [at for event in events for at in (event["choices"][0]["logprobs"] or {"text_offset": []})["text_offset"]]
    assert offsets == whole["choices"][0]["logprobs"]["text_offset"]


@rows(
    ("21 likeliest tokens", {"logprobs": 21}, lambda error: "logprobs" in error.message),
    ("30 in a stream", {"logprobs": 30, "stream": True}, lambda error: "logprobs" in error.message),
    ("likeliest tokens below none", {"prompt_logprobs": -1}, lambda error: "prompt_logprobs" in error.message),
    (
        "usage of a stream that is none",
        {"stream_options": {"include_usage": True}},
        lambda error: "stream" in error.message,
    ),
    ("an empty list of prompts", {"prompt": []}, lambda error: "prompt" in error.message),
    ("null for a prompt", {"prompt": None, "prompt_embeds": []}, lambda error: "prompt" in error.message),
    ("a token that is not in the vocabulary", {"prompt": [999999]}, lambda error: "vocabulary" in error.message),
    (
        "tokens of which some are not",
        {"prompt": [0, 0, 32000], "echo": True},
        lambda error: "vocabulary" in error.message,
    ),
    ("a truncation to nothing", {"truncate_prompt_tokens": 0}, lambda error: "truncate_prompt_tokens" in error.message),
)
async def test_what_is_refused(local: Local, row: Row) -> None:
    assert row.holds(await refusal(complete(local, **row.fields)))
    assert text_of(await complete(local)), "and the server goes on"
