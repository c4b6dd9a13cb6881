"""Token ids in answers, for clients that train on them or continue them exactly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ASK = {"model": BASE_ID, "max_tokens": 5, "temperature": 0, "ignore_eos": True, "return_token_ids": True}


def body(path: str, **fields: Any) -> dict[str, Any]:
    prompt: dict[str, Any] = {"messages": [{"role": "user", "content": "Who?"}]} if path == CHAT else {"prompt": "Who?"}
    return {**ASK, **prompt, **fields}


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_an_answer_continued_by_its_token_ids_is_the_longer_answer(local: Local, path: str) -> None:
    document = (await local.http.post(path, json=body(path))).json()
    [choice] = document["choices"]
    prompt = document["prompt_token_ids"] if path == CHAT else choice["prompt_token_ids"]
    assert len(prompt) == document["usage"]["prompt_tokens"]
    assert len(choice["token_ids"]) == 5
    going_on = body(TEXT, prompt=prompt + choice["token_ids"], max_tokens=3)
    [rest] = (await local.http.post(TEXT, json=going_on)).json()["choices"]
    [longer] = (await local.http.post(path, json=body(path, max_tokens=8))).json()["choices"]
    assert longer["token_ids"] == choice["token_ids"] + rest["token_ids"]


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_stream_tells_every_token_once(local: Local, path: str) -> None:
    whole = (await local.http.post(path, json=body(path, n=2, seed=1, temperature=1))).json()
    streamed = await local.http.post(path, json=body(path, n=2, seed=1, temperature=1, stream=True))
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    choices = [choice for event in events for choice in event["choices"]]
    for index in (0, 1):
        told = [token for choice in choices if choice["index"] == index for token in choice.get("token_ids", ())]
        assert told == whole["choices"][index]["token_ids"]
    tell = events if path == CHAT else choices
    assert [place for place, told in enumerate(tell) if "prompt_token_ids" in told] == [0]


async def test_each_prompt_has_its_own_ids(local: Local) -> None:
    document = (await local.http.post(TEXT, json=body(TEXT, prompt=[[60, 61], [62, 63, 64]], n=2, seed=1))).json()
    assert [choice["prompt_token_ids"] for choice in document["choices"]] == [[60, 61]] * 2 + [[62, 63, 64]] * 2


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_tokens_are_written_by_number_where_asked_for(local: Local, path: str) -> None:
    fields = {"logprobs": True, "top_logprobs": 2} if path == CHAT else {"logprobs": 2}
    asked = body(path, return_tokens_as_token_ids=True, **fields)
    [choice] = (await local.http.post(path, json=asked)).json()["choices"]
    told = choice["logprobs"]
    names = [entry["token"] for entry in told["content"]] if path == CHAT else told["tokens"]
    assert names == [f"token_id:{token}" for token in choice["token_ids"]]
    tops = [top["token"] for entry in told["content"] for top in entry["top_logprobs"]] if path == CHAT else None
    assert all(name.startswith("token_id:") for name in tops or told["top_logprobs"][0])


async def test_nobody_else_is_told(local: Local) -> None:
    document = (await local.http.post(TEXT, json=body(TEXT, return_token_ids=False))).json()
    assert not {"token_ids", "prompt_token_ids"} & document["choices"][0].keys()
