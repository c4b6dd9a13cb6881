"""A server behind real HTTP, with keys, and Anthropic's own client of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import anthropic
import httpx
import pytest
import pytest_asyncio

from adaptrix_core.routing.embedder import TextEmbedder
from deployments.callers.key_file import hash_key
from tests.serving.inprocess import application, listening
from tests.serving.tiny import World

KEY = "adx-of-the-tests"


@dataclass(frozen=True)
class Served:
    """The server, and ways to ask it."""

    url: str
    client: anthropic.AsyncAnthropic
    http: httpx.AsyncClient
    """With the key."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(
    world: World, embedder: TextEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    root = tmp_path_factory.mktemp("messages")
    keys = root / "keys.json"
    record = {"id": "tests", "sha256": hash_key(KEY), "tenant": "tests", "scopes": ["generate"]}
    keys.write_text(json.dumps({"keys": [record]}))
    args = world.settings(adapters={"state_dir": str(root / "state")})
    async with application(args, embedder, keys) as (app, _), listening(app) as url:
        client = anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0)
        async with httpx.AsyncClient(base_url=url, headers={"x-api-key": KEY}, timeout=120) as http, client:
            yield Served(url, client, http)
