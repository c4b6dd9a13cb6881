"""Prompts told with their log-probabilities, before the answer's (echo) or apart, as evaluators ask for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local

PROMPT = "The quick brown fox jumps over the lazy dog."
ASK = {"model": BASE_ID, "prompt": PROMPT, "max_tokens": 3, "temperature": 0, "ignore_eos": True}


async def post(local: Local, path: str = "/v1/completions", **fields: Any) -> dict[str, Any]:
    answer = await local.http.post(path, json={**ASK, **fields})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_the_prompt_comes_first_with_its_logprobs(local: Local) -> None:
    plain = (await post(local, logprobs=2))["choices"][0]
    document = await post(local, logprobs=2, echo=True)
    [choice] = document["choices"]
    told = choice["logprobs"]
    size = document["usage"]["prompt_tokens"]
    assert choice["text"] == PROMPT + plain["text"]
    assert told["token_logprobs"][0] is None
    assert told["top_logprobs"][0] is None
    assert "".join(told["tokens"][:size]) == PROMPT
    assert told["tokens"][size:] == plain["logprobs"]["tokens"]
    assert told["token_logprobs"][size:] == pytest.approx(plain["logprobs"]["token_logprobs"], abs=1e-4)
    assert [len(entries) for entries in told.values()] == [size + 3] * 4
    texts = [choice["text"][at:] for at in told["text_offset"]]
    assert all(rest.startswith(token) for token, rest in zip(told["tokens"], texts, strict=True))


async def test_a_prompt_alone_can_be_scored_as_evaluators_do(local: Local) -> None:
    tokens = list(range(60, 90))
    context, rest = tokens[:20], tokens[20:]
    document = await post(local, prompt=[tokens, tokens], max_tokens=0, logprobs=1, echo=True)
    for choice in document["choices"]:
        assert len(choice["logprobs"]["token_logprobs"]) == len(tokens)
    scored = sum(document["choices"][0]["logprobs"]["token_logprobs"][len(context) :])
    apart = await post(local, prompt=tokens, max_tokens=1, prompt_logprobs=0)
    told = apart["choices"][0]["prompt_logprobs"]
    assert told[0] is None
    assert sum(told[at][str(token)]["logprob"] for at, token in enumerate(tokens) if at >= len(context)) == (
        pytest.approx(scored, abs=1e-4)
    )
    assert len(rest) == 10
    assert document["usage"]["completion_tokens"] == 0


async def test_every_choice_echoes(local: Local) -> None:
    document = await post(local, echo=True, n=2, seed=1, temperature=1)
    assert all(choice["text"].startswith(PROMPT) for choice in document["choices"])
    assert all(choice["logprobs"] is None for choice in document["choices"])


@pytest.mark.parametrize("n", [1, 2])
async def test_a_stream_echoes_once_for_each_choice(local: Local, n: int) -> None:
    fields = {"echo": True, "logprobs": 1, "n": n, "seed": 1}
    whole = await post(local, **fields)
    answer = await local.http.post("/v1/completions", json={**ASK, **fields, "stream": True})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    for index in range(n):
        parts = [choice for event in events for choice in event["choices"] if choice["index"] == index]
        assert "".join(part["text"] for part in parts) == whole["choices"][index]["text"]
        offsets = [at for part in parts if part["logprobs"] for at in part["logprobs"]["text_offset"]]
        assert offsets == whole["choices"][index]["logprobs"]["text_offset"]


async def test_a_chat_tells_of_its_prompt_apart(local: Local) -> None:
    messages = [{"role": "user", "content": "Who?"}]
    body = {"model": BASE_ID, "messages": messages, "max_tokens": 1, "prompt_logprobs": 1}
    answer = await local.http.post("/v1/chat/completions", json=body)
    document = answer.json()
    assert len(document["prompt_logprobs"]) == document["usage"]["prompt_tokens"]
    ranks = [entry["rank"] for told in document["prompt_logprobs"][1:] for entry in told.values()]
    assert min(ranks) == 1
    assert all(len(told) in (1, 2) for told in document["prompt_logprobs"][1:])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs cannot be streamed"),
        ({"prompt_logprobs": 21}, "less than or equal to 20"),
        ({"max_tokens": -1}, "max_tokens"),
    ],
)
async def test_what_cannot_be_is_refused(local: Local, fields: dict[str, Any], message: str) -> None:
    answer = await local.http.post("/v1/completions", json={**ASK, **fields})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert message in f"{error['param']} {error['message']}"
