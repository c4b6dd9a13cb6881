"""``POST /v1/feedback``: a label moves the thresholds of its sender's tenant, and of no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from adaptrix_core.routing.embedder import TextEmbedder
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
