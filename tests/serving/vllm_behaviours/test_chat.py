"""Chat, whole: log-probabilities, choices, messages, and what is refused."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.serving.conftest import BASE_ID, Local
from tests.serving.tiny import CONTEXT
from tests.serving.vllm_behaviours.rows import TALK, Row, chat, every_model, refusal, rows, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONGS = (-(2**63) - 1, 2**63)
SAID = "The quick brown fox jumps"
PARTS = [{"type": "text", "text": "What is seventeen plus twenty five?"}]
ASKED = TALK[1]["content"]


def first(answer: Any) -> Any:
    return answer["choices"][0]


@every_model
@rows(
    ("no log-probabilities where none are wanted", {"logprobs": False}, lambda a: first(a)["logprobs"] is None),
    (
        "log-probabilities without likeliest tokens",
        {"logprobs": True, "top_logprobs": 0},
        lambda a: all(one["top_logprobs"] == [] for one in first(a)["logprobs"]["content"]),
    ),
    (
        "five likeliest tokens for each",
        {"logprobs": True, "top_logprobs": 5},
        lambda a: all(len(one["top_logprobs"]) == 5 for one in first(a)["logprobs"]["content"]),
    ),
    ("an answer has an id", {}, lambda a: bool(a["id"])),
    ("one choice where none are counted", {}, lambda a: [one["index"] for one in a["choices"]] == [0]),
    ("one choice for n 1", {"n": 1}, lambda a: len(a["choices"]) == 1),
    ("an answer that is cut says so", {"ignore_eos": True}, lambda a: first(a)["finish_reason"] == "length"),
    (
        "usage counts every token",
        {"ignore_eos": True},
        lambda a: (
            a["usage"]["completion_tokens"] == 6 and a["usage"]["total_tokens"] == a["usage"]["prompt_tokens"] + 6
        ),
    ),
    ("it is the assistant who answers", {}, lambda a: first(a)["message"]["role"] == "assistant"),
    (
        "a text is text where that is the format",
        {"response_format": {"type": "text"}},
        lambda a: text_of(a) is not None,
    ),
    (
        "three choices in their order, not all the same",
        {"n": 3, "temperature": 1.0, "max_completion_tokens": 20, "seed": 1},
        lambda a: (
            [one["index"] for one in a["choices"]] == [0, 1, 2] and len({text_of(a, index) for index in range(3)}) > 1
        ),
    ),
    (
        "several choices with a seed",
        {"n": 2, "temperature": 0.8, "seed": 42},
        lambda a: len(a["choices"]) == 2 and all(text_of(a, index) for index in range(2)),
    ),
    ("log-probabilities of the prompt", {"prompt_logprobs": 1}, lambda a: len(a["prompt_logprobs"]) > 1),
    ("of the prompt's tokens alone", {"prompt_logprobs": 0}, lambda a: len(a["prompt_logprobs"]) > 1),
    ("none of the prompt where none are wanted", {}, lambda a: a.get("prompt_logprobs") is None),
    (
        "k likeliest tokens at each place of the prompt",
        {"prompt_logprobs": 2},
        lambda a: all(2 <= len(one) <= 3 for one in a["prompt_logprobs"][1:]),
    ),
    (
        "ids of all tokens where they are wanted",
        {"return_token_ids": True},
        lambda a: len(first(a)["token_ids"]) == 6 and len(a["prompt_token_ids"]) == a["usage"]["prompt_tokens"],
    ),
    (
        "no ids where they are not",
        {"return_token_ids": False},
        lambda a: first(a).get("token_ids") is None and a.get("prompt_token_ids") is None,
    ),
    (
        "tokens by number beside log-probabilities",
        {"logprobs": True, "top_logprobs": 1, "return_tokens_as_token_ids": True},
        lambda a: all(one["token"].startswith("token_id:") for one in first(a)["logprobs"]["content"]),
    ),
    (
        "tokens by their text beside ids",
        {"logprobs": True, "top_logprobs": 1, "return_token_ids": True},
        lambda a: not any(one["token"].startswith("token_id:") for one in first(a)["logprobs"]["content"]),
    ),
    ("a bias for the last token of the vocabulary", {"logit_bias": {"399": 1.0}}, lambda a: text_of(a) is not None),
    ("the last token as a stop", {"stop_token_ids": [399]}, lambda a: text_of(a) is not None),
    ("null for the choice of a tool", {"tool_choice": None}, lambda a: bool(text_of(a))),
    (
        "an answer goes on with the last message, and does not say it again",
        {
            "messages": [*TALK, {"role": "assistant", "content": SAID}],
            "continue_final_message": True,
            "add_generation_prompt": False,
        },
        lambda a: text_of(a) and SAID not in text_of(a),
    ),
    (
        "no echo where none is wanted",
        {
            "messages": [*TALK, {"role": "assistant", "content": SAID}],
            "continue_final_message": True,
            "add_generation_prompt": False,
            "echo": False,
        },
        lambda a: text_of(a) and SAID not in text_of(a),
    ),
)
async def test_an_answer(local: Local, model: str, row: Row) -> None:
    assert row.holds(await chat(local, model, **{"ignore_eos": True, **row.fields}))


@every_model
async def test_an_answer_begins_the_next_turn(local: Local, model: str) -> None:
    message = first(await chat(local, model, logprobs=True, top_logprobs=5))["message"]
    turns = [*TALK, {"role": "assistant", "content": message["content"]}, {"role": "user", "content": "go on"}]
    assert first(await chat(local, model, messages=turns))["message"]["role"] == "assistant"


@every_model
async def test_text_in_parts_is_text(local: Local, model: str) -> None:
    whole = await chat(local, model, messages=[{"role": "user", "content": ASKED}])
    assert text_of(await chat(local, model, messages=[{"role": "user", "content": PARTS}])) == text_of(whole)


async def test_a_role_of_ones_own_takes_text_and_parts_alike(local: Local) -> None:
    answers = [await chat(local, messages=[{"role": "my-custom-role", "content": one}]) for one in (ASKED, PARTS)]
    assert text_of(answers[0]) == text_of(answers[1])


@rows(
    ("a seed below 64 bits", {"seed": LONGS[0]}, lambda error: "seed" in error.message),
    ("a seed above 64 bits", {"seed": LONGS[1]}, lambda error: "seed" in error.message),
    ("21 likeliest tokens", {"logprobs": True, "top_logprobs": 21}, lambda error: "top_logprobs" in error.message),
    (
        "30 in a stream",
        {"logprobs": True, "top_logprobs": 30, "stream": True},
        lambda error: "logprobs" in error.message,
    ),
    ("likeliest tokens below none", {"prompt_logprobs": -1}, lambda error: "prompt_logprobs" in error.message),
    (
        "usage of a stream that is none",
        {"stream_options": {"include_usage": True}},
        lambda error: "stream" in error.message,
    ),
    (
        "a bias for a token that is not there: its number and the vocabulary's size are told",
        {"logit_bias": {"401": 1.0}},
        lambda error: "401" in error.message and "400" in error.message,
    ),
    (
        "a bias for what is no number is told by its name",
        {"logit_bias": {"not_a_token": 50}},
        lambda error: "not_a_token" in error.message and "logit_bias" in error.message,
    ),
    ("a bias that is no number", {"logit_bias": {"1": "much"}}, lambda error: "logit_bias" in error.message),
    (
        "all of several such names are told",
        {"logit_bias": {"bad1": 50.0, "bad2": 20.0}},
        lambda error: "bad1" in error.message and "bad2" in error.message,
    ),
    (
        "a stop that is not in the vocabulary: its number and the size are told",
        {"stop_token_ids": [401]},
        lambda error: "401" in error.message and "400" in error.message,
    ),
    ("a stop below none", {"stop_token_ids": [-1]}, lambda error: "stop_token_ids" in error.message),
    ("a choice of a tool that means nothing", {"tool_choice": "bogus"}, lambda error: "tool_choice" in error.message),
    ("no messages", {"messages": []}, lambda error: "messages" in error.message),
    (
        "more tokens than the context has room for",
        {"messages": [{"role": "user", "content": "a " * 5000}]},
        lambda error: str(CONTEXT) in error.message,
    ),
)
async def test_what_is_refused(local: Local, row: Row) -> None:
    assert row.holds(await refusal(chat(local, **row.fields)))
    assert text_of(await chat(local)), "and the server goes on"


@pytest.mark.parametrize("body", ['"this is not an object"', '["nor", "this"]', "42", "null", "this is not JSON{{{"])
async def test_a_body_that_is_no_object_is_refused(local: Local, body: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await local.http.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 400


async def test_a_model_that_is_not_there_is_not_found(local: Local) -> None:
    with pytest.raises(openai.NotFoundError):
        await chat(local, "not-a-model")


async def test_a_base_name_is_answered_by_itself(local: Local) -> None:
    assert (await chat(local))["model"] == BASE_ID
