"""Clients that are too large to run here (web applications, vLLM's benchmark): the requests that their sources make.

`recorded/` has one file for each, with the place in its source; nothing of it was taken from the wire.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.client import Client
from tests.clients.served import Served

pytestmark = pytest.mark.integration

RECORDED = [json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "recorded").glob("*.json"))]
CLIENTS_OF = {
    entry["client"]: Client(entry["client"], "from its source", "requests as its source makes them: `recorded/`")
    for entry in RECORDED
}


def requests(*calls: str) -> pytest.MarkDecorator:
    """These calls of every client that makes them."""
    found = [(entry["client"], each) for entry in RECORDED for each in entry["requests"] if each["call"] in calls]
    return pytest.mark.parametrize(
        ("client", "request_"), found, ids=[f"{name}: {each['call']}" for name, each in found]
    )


@requests("completions")
def test_text_completions(server: Served, client: str, request_: dict[str, Any]) -> None:
    is_answered(server, request_)


@requests("chat")
def test_stream(server: Served, client: str, request_: dict[str, Any]) -> None:
    is_answered(server, request_)


@requests("tools")
def test_tools(server: Served, client: str, request_: dict[str, Any]) -> None:
    is_answered(server, request_)


@requests("title")
def test_chat_for_a_title(server: Served, client: str, request_: dict[str, Any]) -> None:
    is_answered(server, request_)


def is_answered(server: Served, request_: dict[str, Any]) -> None:
    body = {**request_["body"], "model": server.model}
    headers = {**request_["headers"], "authorization": f"Bearer {server.key}"}
    answer = httpx.post(f"{server.url}{request_['path']}", json=body, headers=headers, timeout=120)
    assert answer.status_code == 200, answer.text
    events = events_of(answer.text) if body.get("stream") else [answer.json()]
    assert len([choice for event in events for choice in event["choices"] if choice["finish_reason"]]) == 1
    usages = [event["usage"] for event in events if event.get("usage")]
    assert bool(usages) is ("stream_options" in body or not body.get("stream"))
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    assert all(0 < usage["completion_tokens"] <= limit for usage in usages)


def events_of(stream: str) -> list[Any]:
    """The documents of a stream that ends as OpenAI's do."""
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_models_are_listed_as_they_read_them(server: Served) -> None:
    """Open WebUI and LibreChat fill their menus from ``data[].id`` of ``GET {base}/models``."""
    listed = httpx.get(f"{server.base_url}/models", headers={"authorization": f"Bearer {server.key}"}).json()
    assert server.model in [model["id"] for model in listed["data"]]
