"""``cache_salt``: what one user of a tenant has asked is not in the cache for another."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.serving.conftest import BASE_ID, Local

TEXT = "Tell me what the weather was like in the year that nobody remembers, and why nobody does. "
LIMIT = 256


def chat(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 1}


ENDPOINTS = {
    "/v1/chat/completions": (chat, "prompt_tokens_details"),
    "/v1/completions": (lambda text: {"prompt": text, "max_tokens": 1}, "prompt_tokens_details"),
    "/v1/responses": (lambda text: {"input": text, "max_output_tokens": 1, "store": False}, "input_tokens_details"),
}


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_a_prompt_is_in_the_cache_for_the_same_salt_alone(local: Local, path: str) -> None:
    said, details = ENDPOINTS[path]

    async def cached(**salt: Any) -> bool:
        answer = await local.http.post(path, json={"model": BASE_ID, **said(text), **salt})
        assert answer.status_code == 200, answer.text
        return int(answer.json()["usage"][details]["cached_tokens"]) >= 16

    text = f"{uuid4().hex} {TEXT}"
    assert not await cached()
    for salt in ("ann", "bob", "ann ", "\u00e4nn", "a" * LIMIT):
        assert not await cached(cache_salt=salt)
        assert await cached(cache_salt=salt)
    for nothing in ({}, {"cache_salt": None}, {"cache_salt": ""}):
        assert await cached(**nothing)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("salt", ["a" * (LIMIT + 1), 7, ["ann"]], ids=["long", "number", "list"])
async def test_what_is_no_salt_is_refused_by_its_name(local: Local, path: str, salt: object) -> None:
    said, _ = ENDPOINTS[path]
    answer = await local.http.post(path, json={"model": BASE_ID, **said("hello"), "cache_salt": salt})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "cache_salt"


async def test_a_salt_that_is_no_text_is_refused(local: Local) -> None:
    body = '{"model": "base", "prompt": "hello", "cache_salt": "\\ud800"}'
    answer = await local.http.post("/v1/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400, answer.text
