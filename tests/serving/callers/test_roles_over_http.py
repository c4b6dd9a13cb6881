"""Every endpoint holds callers to the scope that its description names: without it 403, with it alone it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.callers.key_file import hash_key
from deployments.callers.scopes import ALL, ROLES
from deployments.http.description.document import DOCUMENT
from tests.serving.inprocess import running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


def needing_a_scope(document: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(method, path, scope) of each endpoint."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if (scope := operation.get("x-adaptrix-scope")) is not None:
                yield method.upper(), re.sub(r"\{[^}]*\}", "none", path), scope


async def asked(http: httpx.AsyncClient, method: str, path: str, key: str) -> httpx.Response:
    content = b"{}" if method == "POST" else None
    return await http.request(method, path, headers={"authorization": f"Bearer {key}"}, content=content)


async def test_an_endpoint_needs_its_scope_and_no_other(world: World, tmp_path: Path) -> None:
    granted = {f"only-{scope}": [scope] for scope in ALL} | {f"no-{scope}": sorted(ALL - {scope}) for scope in ALL}
    records = [{"id": k, "sha256": hash_key(k), "tenant": "t", "scopes": scopes} for k, scopes in granted.items()]
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": records}))
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with running(args, keys=keys) as (http, _):
        endpoints = list(needing_a_scope((await http.get(DOCUMENT)).json()))
        assert {scope for *_, scope in endpoints} == set(ALL)
        for method, path, scope in endpoints:
            lacking = "only-publish" if scope == "read" else f"no-{scope}"
            refused = await asked(http, method, path, lacking)
            assert refused.status_code == 403, (method, path)
            assert f"'{scope}'" in refused.text, (method, path)
            taken = await asked(http, method, path, f"only-{scope}")
            assert taken.status_code not in (401, 403), (method, path, taken.text)


async def test_an_operator_sees_all_counters_and_gets_no_answer(world: World, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    records = [{"id": role, "sha256": hash_key(role), "tenant": "t", "roles": [role]} for role in ROLES]
    keys.write_text(json.dumps({"keys": records}))
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with running(args, keys=keys) as (http, _):
        seen = {role: (await asked(http, "GET", "/metrics", role)).status_code for role in ROLES}
        assert seen == {"viewer": 403, "user": 403, "curator": 403, "owner": 403, "operator": 200}
        answered = {role: (await asked(http, "POST", "/v1/chat/completions", role)).status_code for role in ROLES}
        assert answered == {"viewer": 403, "user": 400, "curator": 400, "owner": 400, "operator": 403}
