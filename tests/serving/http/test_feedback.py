"""``POST /v1/feedback``: a label moves the thresholds of its sender's tenant, and of no other.

With ``learn``, an operator's alone, its text is kept for the signals of all.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from adaptrix_core.routing.embedder import TextEmbedder
from deployments.callers.key_file import hash_key, new_key
from tests.serving.inprocess import running
from tests.serving.tiny import World

QUESTION = "Implement clamp(x, low, high)."


def label(right: str, text: str = QUESTION) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "right": right}


@pytest_asyncio.fixture
async def http(world: World, embedder: TextEmbedder, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A server of the test's own: labels stay with it."""
    async with running(world.settings(adapters={"state_dir": str(tmp_path)}), embedder) as (client, _):
        yield client


async def test_a_label_is_counted_and_says_what_it_moved(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/feedback", json=label("code_generation"))
    assert answer.status_code == 200, answer.text
    taken = answer.json()
    assert (taken["object"], taken["right"], taken["labels"]) == ("adaptrix.feedback", "code_generation", 1)
    assert taken["thresholds"].get("code_generation", taken["threshold"]) <= taken["threshold"]
    to_base = (await http.post("/v1/feedback", json=label("base", "What's the weather?"))).json()
    assert (to_base["labels"], to_base["decided"]) == (2, "base")


async def test_what_is_no_label_is_refused_by_name(http: httpx.AsyncClient) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        (label("code_generatio"), "right"),
        (label(""), "right"),
        (label("x" * 5000), "right"),
        ({"messages": [], "right": "base"}, "messages"),
        ({"right": "base"}, "messages"),
        ({**label("base"), "rihgt": 1}, "rihgt"),
    ]
    for body, param in bad:
        answer = await http.post("/v1/feedback", json=body)
        assert answer.status_code == 400, body
        assert answer.json()["error"]["param"] == param, body


async def test_an_operator_has_the_router_learn_texts_lists_and_forgets_them(http: httpx.AsyncClient) -> None:
    taken = (await http.post("/v1/feedback", json={**label("code_generation"), "learn": True})).json()
    assert taken["learnt"] == taken["labels"] == 1
    again = (await http.post("/v1/feedback", json={**label("base", f" {QUESTION} "), "learn": True})).json()
    assert again["learnt"] == 1, "the same words twice are one message"
    assert "learnt" not in (await http.post("/v1/feedback", json=label("base"))).json()
    (known,) = (await http.get("/v1/feedback/learnt")).json()["data"]
    assert (known["text"], known["right"]) == (QUESTION, "base")
    gone = await http.delete(f"/v1/feedback/learnt/{known['id']}")
    assert (gone.status_code, gone.json()["deleted"]) == (200, True)
    assert (await http.get("/v1/feedback/learnt")).json()["data"] == []
    twice = await http.delete(f"/v1/feedback/learnt/{known['id']}")
    assert (twice.status_code, twice.json()["error"]["code"]) == (404, "object_not_found")


async def test_an_unknown_adapter_or_an_empty_text_teaches_nothing(http: httpx.AsyncClient) -> None:
    for body in (label("code_generatio"), label("code_generation", "  ")):
        assert (await http.post("/v1/feedback", json={**body, "learn": True})).status_code == 400
    assert (await http.get("/v1/feedback/learnt")).json()["data"] == []


async def test_without_the_scope_nothing_is_learnt_listed_or_forgotten(
    world: World, embedder: TextEmbedder, tmp_path: Path
) -> None:
    user = new_key()
    keys = tmp_path / "keys.json"
    record = {"id": "user", "sha256": hash_key(user), "tenant": "a", "scopes": ["generate"]}
    keys.write_text(json.dumps({"keys": [record]}))
    state = tmp_path / "state"
    async with running(world.settings(adapters={"state_dir": str(state)}), embedder, keys=keys) as (http, _):
        http.headers["authorization"] = f"Bearer {user}"
        assert (await http.post("/v1/feedback", json=label("base"))).status_code == 200
        for answer in (
            await http.post("/v1/feedback", json={**label("base"), "learn": True}),
            await http.get("/v1/feedback/learnt"),
            await http.delete("/v1/feedback/learnt/0123456789abcdef"),
        ):
            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == "insufficient_scope"
            assert "'operate'" in answer.json()["error"]["message"]
    assert not (state / "routing" / "learnt.json").exists()
