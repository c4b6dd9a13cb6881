"""vLLM's controls over HTTP: where an answer ends, why, and what its usage says, streamed and whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local

ASK = {
    "model": BASE_ID,
    "messages": [{"role": "user", "content": "What is seventeen plus twenty five?"}],
    "max_tokens": 8,
    "temperature": 0,
    "ignore_eos": True,
}


async def ask(local: Local, **fields: Any) -> dict[str, Any]:
    answer = await local.http.post("/v1/chat/completions", json={**ASK, **fields})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def stream(local: Local, **fields: Any) -> list[dict[str, Any]]:
    answer = await local.http.post("/v1/chat/completions", json={**ASK, **fields, "stream": True})
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


async def test_a_choice_says_what_stopped_it(local: Local) -> None:
    free = (await ask(local))["choices"][0]
    assert (free["finish_reason"], free["stop_reason"]) == ("length", None)
    stop = free["message"]["content"][2:4]
    [hidden] = (await ask(local, stop=[stop]))["choices"]
    [shown] = (await ask(local, stop=[stop], include_stop_str_in_output=True))["choices"]
    assert hidden["stop_reason"] == shown["stop_reason"] == stop
    assert shown["message"]["content"] == hidden["message"]["content"] + stop
    events = [choice for event in await stream(local, stop=[stop]) for choice in event["choices"]]
    assert [event["stop_reason"] for event in events if "stop_reason" in event] == [stop]
    assert events[-1]["finish_reason"] == "stop"


async def test_token_ids_stop_allow_and_forbid(local: Local) -> None:
    bias = {str(token): 100 for token in (300, 301)}
    [stopped] = (await ask(local, logit_bias=bias, stop_token_ids=[300, 301]))["choices"]
    assert stopped["stop_reason"] in (300, 301)
    later = await ask(local, logit_bias=bias, stop_token_ids=[300, 301], min_tokens=5)
    assert later["usage"]["completion_tokens"] >= 5
    only = await ask(local, allowed_token_ids=[66], logprobs=True)
    assert len({token["token"] for token in only["choices"][0]["logprobs"]["content"]}) == 1


async def test_usage_says_what_the_cache_had(local: Local) -> None:
    prompt = [{"role": "user", "content": "One and two and three and four and five. " * 12}]
    first = (await ask(local, messages=prompt))["usage"]
    again = (await ask(local, messages=prompt))["usage"]
    assert first["prompt_tokens"] == again["prompt_tokens"]
    assert again["prompt_tokens"] > again["prompt_tokens_details"]["cached_tokens"] > again["prompt_tokens"] / 2
    assert first["prompt_tokens_details"]["cached_tokens"] < again["prompt_tokens_details"]["cached_tokens"]


async def test_each_event_says_the_usage_so_far_where_asked_for(local: Local) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    usages = [event["usage"] for event in await stream(local, stream_options=options)]
    completion = [usage["completion_tokens"] for usage in usages]
    assert completion == sorted(completion)
    assert completion[-1] == ASK["max_tokens"]
    assert len({usage["prompt_tokens"] for usage in usages}) == 1
    plain = await stream(local, stream_options={"include_usage": True})
    assert ["usage" in event for event in plain] == [False] * (len(plain) - 1) + [True]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"min_tokens": 9}, "min_tokens"),
        ({"allowed_token_ids": [10**6]}, "allowed_token_ids"),
        ({"stop_token_ids": [-1]}, "stop_token_ids.0"),
        ({"bad_words": ["x"] * 65}, "bad_words"),
        ({"stream_options": {"continuous_usage": True}, "stream": True}, "stream_options.continuous_usage"),
    ],
)
async def test_what_cannot_be_is_refused_by_name(local: Local, fields: dict[str, Any], param: str) -> None:
    answer = await local.http.post("/v1/chat/completions", json={**ASK, **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param), answer.text
