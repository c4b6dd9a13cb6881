"""Tenants of a small server: their keys, and requests in their names."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deployments.callers.key_file import hash_key
from tests.serving.http.test_publishing import packed
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

ROLES = {"acme": ["curator"], "beta": ["curator"], "gamma": ["user"], "op": ["operator"], "root": []}
"""By tenant, the roles of its only key, which is called as it is; root has the scope ``admin``."""


@dataclass(frozen=True)
class Caller:
    """Asks a server with one key."""

    http: httpx.AsyncClient
    key: str

    async def ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}", **request.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **request)

    async def chat(self, model: str, text: str = "17 + 25?", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 4, "temperature": 0}
        return await self.ask("POST", "/v1/chat/completions", json={**body, **fields})

    async def publish(self, directory: Path, **query: Any) -> httpx.Response:
        return await self.ask("POST", "/v1/adapters", content=packed(directory), params=query)

    async def unload(self, name: str) -> httpx.Response:
        return await self.ask("POST", "/v1/unload_lora_adapter", json={"lora_name": name})

    async def adapters(self) -> dict[str, dict[str, Any]]:
        listed = (await self.ask("GET", "/v1/adapters")).json()["data"]
        return {card["name"]: card for card in listed}

    async def models(self) -> set[str]:
        return {card["id"] for card in (await self.ask("GET", "/v1/models")).json()["data"]}


@dataclass(frozen=True)
class Tenants:
    """A server and everybody who calls it."""

    store: LocalStore
    acme: Caller
    beta: Caller
    gamma: Caller
    op: Caller
    root: Caller


@asynccontextmanager
async def tenants_of(world: World, state: Path, **sections: dict[str, object]) -> AsyncIterator[Tenants]:
    """A server that keeps its state there, and its tenants."""
    keys = state / "keys.json"
    state.mkdir(parents=True, exist_ok=True)
    records = [
        {"id": name, "sha256": hash_key(name), "tenant": name, "roles": roles, "scopes": [] if roles else ["admin"]}
        for name, roles in ROLES.items()
    ]
    keys.write_text(json.dumps({"keys": records}))
    args = world.settings(**{"adapters": {"state_dir": str(state)}, "router": {"enabled": False}, **sections})
    async with running(args, keys=keys) as (http, store):
        yield Tenants(store, **{name: Caller(http, name) for name in ROLES})
