"""Over HTTP: administrators' requests are in the log before and after, refused callers too, prompts and keys never."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.security.audit.reading import records_of
from adaptrix_core.security.audit.record import AuditRecord
from adaptrix_core.security.audit.signing_key import public_key_of, read_public_key
from adaptrix_core.security.audit.verification import verify_log
from deployments.callers.key_file import hash_key
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import packed
from tests.serving.inprocess import running
from tests.serving.tiny import World

SECRET = "the canary sings at noon"
KEYS = {"ops": ["admin"], "user": ["generate"]}


@dataclass
class Audited:
    http: httpx.AsyncClient
    root: Path

    @property
    def directory(self) -> Path:
        return self.root / "audit"

    def told(self, action: str) -> list[AuditRecord]:
        return [record for record in records_of(self.directory) if record.action == action]

    async def ask(self, method: str, path: str, key: str = "key-of-ops", **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
        return await self.http.request(method, path, headers=headers, **more)


@pytest_asyncio.fixture
async def server(world: World, embedder: TextEmbedder, tmp_path: Path) -> AsyncIterator[Audited]:
    keys = tmp_path / "keys.json"
    records = [
        {"id": key_id, "sha256": hash_key(f"key-of-{key_id}"), "tenant": "team-a", "scopes": scopes}
        for key_id, scopes in KEYS.items()
    ]
    keys.write_text(json.dumps({"keys": records}))
    args = world.settings(
        adapters={"state_dir": str(tmp_path / "state")},
        security={"load_roots": [str(tmp_path)]},
        audit={"dir": str(tmp_path / "audit"), "key_file": str(tmp_path / "audit.key")},
    )
    async with running(args, embedder, keys) as (http, _):
        yield Audited(http, tmp_path)
    if (tmp_path / "audit").is_dir():
        verified = verify_log(tmp_path / "audit", [read_public_key(public_key_of(tmp_path / "audit.key"))])
        assert verified.unsigned == 0


async def test_every_administrative_request_leaves_two_lines(server: Audited, world: World, tmp_path: Path) -> None:
    directory = world.write_adapter(tmp_path / "1", "pushed", 41)
    published = await server.ask("POST", "/v1/adapters", content=packed(directory), headers={"x-request-id": "r-1"})
    assert published.status_code == 201, published.text
    asked, done = server.told("adapter.publish")
    assert (asked.outcome, done.outcome) == ("asked", "done")
    assert asked.seq < done.seq
    for record in (asked, done):
        assert record.actor is not None
        assert (record.actor.tenant, record.actor.key_id) == ("team-a", "ops")
        assert (record.target, record.request_id) == ("pushed@1.0.0", "r-1")
        assert record.package_digest == published.json()["digest"]
    gone = await server.ask("POST", "/v1/unload_lora_adapter", json={"lora_name": "pushed"})
    assert gone.status_code == 200, gone.text
    assert published.json()["digest"] in str(server.told("adapter.unload")[1].details["unloaded"])
    body = {"lora_name": "alias", "lora_path": str(directory)}
    loaded = await server.ask("POST", "/v1/load_lora_adapter", json=body)
    assert loaded.status_code == 200, loaded.text
    asked, done = server.told("adapter.load")
    assert (asked.target, done.details["loaded"], done.package_digest) == ("alias", "pushed@1.0.0", done.package_digest)
    assert asked.request_id == done.request_id
    files = sign_list(RevocationList(1, {}), world.private_key)
    sent = {
        "revocations": base64.b64encode(files["revocations.json"]).decode(),
        "signature": base64.b64encode(files["signature.json"]).decode(),
    }
    revoked = await server.ask("POST", "/v1/revocations", json=sent)
    assert revoked.status_code == 200, revoked.text
    assert server.told("adapters.revoke")[1].details["number"] == 1


async def test_what_is_refused_or_fails_is_recorded_as_that(server: Audited) -> None:
    outside = await server.ask("POST", "/v1/load_lora_adapter", json={"lora_name": "x", "lora_path": "/etc"})
    assert outside.status_code == 403
    assert [record.outcome for record in server.told("adapter.load")] == ["asked", "refused"]
    missing = await server.ask("POST", "/v1/unload_lora_adapter", json={"lora_name": "nobody"})
    assert missing.status_code == 404
    assert server.told("adapter.unload")[1].details["error"] in ("adapter_not_found", "model_not_found")


async def test_unknown_callers_and_missing_scopes_are_recorded_without_the_key(server: Audited) -> None:
    assert (await server.ask("GET", "/v1/models", "a-stolen-key")).status_code == 401
    body = {"lora_name": "x", "lora_path": "/x"}
    assert (await server.ask("POST", "/v1/load_lora_adapter", "key-of-user", json=body)).status_code == 403
    await eventually(lambda: bool(server.directory.exists() and server.told("caller.denied")))
    unknown, denied = server.told("caller.unknown")[0], server.told("caller.denied")[0]
    assert (unknown.actor, unknown.target, unknown.outcome) == (None, "GET /v1/models", "refused")
    assert denied.actor is not None
    assert (denied.actor.key_id, denied.target) == ("user", "POST /v1/load_lora_adapter")
    assert server.told("adapter.load") == []


async def test_no_prompt_and_no_key_is_ever_in_the_log(server: Audited) -> None:
    messages = [{"role": "user", "content": SECRET}]
    asked = await server.ask(
        "POST", "/v1/chat/completions", json={"model": "auto", "messages": messages, "max_tokens": 2}
    )
    assert asked.status_code == 200, asked.text
    label = {"messages": messages, "right": "math_reasoning"}
    assert (await server.ask("POST", "/v1/feedback", json=label)).status_code == 200
    assert (await server.ask("POST", "/v1/feedback", json={**label, "learn": True})).status_code == 200
    (learnt,) = (await server.ask("GET", "/v1/feedback/learnt")).json()["data"]
    assert (await server.ask("DELETE", f"/v1/feedback/learnt/{learnt['id']}")).status_code == 200
    await eventually(lambda: bool(server.told("router.label")))
    assert [record.outcome for record in server.told("router.learn")] == ["asked", "done"]
    assert [record.outcome for record in server.told("router.forget")] == ["asked", "done"]
    everything = b"".join(path.read_bytes() for path in server.directory.iterdir())
    assert SECRET.encode() not in everything
    assert not any(f"key-of-{key_id}".encode() in everything for key_id in KEYS)


async def test_without_a_log_no_administrator_but_everybody_else_is_answered(
    server: Audited, world: World, tmp_path: Path
) -> None:
    await server.ask("POST", "/v1/unload_lora_adapter", json={"lora_name": "nobody"})
    shutil.rmtree(server.directory)
    (tmp_path / "audit").write_text("in the way")
    directory = world.write_adapter(tmp_path / "2", "kept_out", 42)
    for _ in range(2):
        refused = await server.ask("POST", "/v1/adapters", content=packed(directory))
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "audit_unavailable"
        assert str(tmp_path) not in refused.text
    models = (await server.ask("GET", "/v1/models")).text
    assert "kept_out" not in models
    messages = [{"role": "user", "content": "2 + 2?"}]
    asked = await server.ask(
        "POST", "/v1/chat/completions", json={"model": "auto", "messages": messages, "max_tokens": 2}
    )
    assert asked.status_code == 200
