"""A server with API keys of two tenants, over real HTTP, and the unchanged client of OpenAI for each."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import openai

from adaptrix_core.routing.embedder import TextEmbedder
from deployments.callers.key_file import hash_key
from deployments.generation.ports import Replicas
from tests.serving.inprocess import LocalStore, application, listening, only_worker
from tests.serving.tiny import World

OPERATOR = "operator"
"""The key that sees what the server has counted for all tenants."""


@dataclass(frozen=True)
class Tenants:
    """The clients of two tenants of one server."""

    ours: openai.AsyncOpenAI
    theirs: openai.AsyncOpenAI
    store: LocalStore
    url: str


@asynccontextmanager
async def two_tenants(
    world: World,
    directory: Path,
    replicas_of: Callable[[LocalStore], Replicas] = only_worker,
    embedder: TextEmbedder | None = None,
    **sections: dict[str, object],
) -> AsyncIterator[Tenants]:
    """A server whose state is in ``directory``; sections: further settings."""
    keys = directory / "keys.json"
    records = [
        {"id": tenant, "sha256": hash_key(tenant), "tenant": tenant, "scopes": ["generate"]}
        for tenant in ("ours", "theirs")
    ]
    records.append({"id": OPERATOR, "sha256": hash_key(OPERATOR), "tenant": "none", "roles": ["operator"]})
    keys.write_text(json.dumps({"keys": records}))
    sections = {"router": {"enabled": False}, **sections}
    args = world.settings(adapters={"state_dir": str(directory / "state")}, **sections)
    async with (
        application(args, embedder, keys, replicas_of) as (app, store),
        listening(app) as url,
        client(url, "ours") as ours,
        client(url, "theirs") as theirs,
    ):
        yield Tenants(ours, theirs, store, url)


def client(url: str, key: str) -> openai.AsyncOpenAI:
    """OpenAI's client with a tenant's key; it repeats nothing, so that every answer is seen."""
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120)
