"""``/v1/keys``: who owns a tenant makes and ends its keys, up to what it may itself, and sees no others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from deployments.callers.key_file import hash_key, read_keys
from tests.serving.inprocess import running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    keys = {"ana": ("acme", "owner"), "ben": ("acme", "curator"), "max": ("acme", "operator"), "eve": ("beta", "owner")}
    records = [
        {"id": name, "sha256": hash_key(name), "tenant": tenant, "roles": [role]}
        for name, (tenant, role) in keys.items()
    ]
    path.write_text(json.dumps({"keys": records}))
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(world: World, file: Path) -> AsyncIterator[httpx.AsyncClient]:
    args = world.settings(
        adapters={"state_dir": str(file.parent / "state")},
        router={"enabled": False},
        security={"api_keys_file": str(file)},
    )
    async with running(args, keys=file) as (client, _):
        yield client


async def ask(http: httpx.AsyncClient, key: str, method: str, path: str = "", **body: Any) -> httpx.Response:
    sent = {"json": body} if method in ("POST", "PATCH") else {}
    return await http.request(method, f"/v1/keys{path}", headers={"authorization": f"Bearer {key}"}, **sent)


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def works(http: httpx.AsyncClient, key: str) -> bool:
    answer = await http.get("/v1/models", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


async def test_a_key_lives_from_its_making_to_its_end(http: httpx.AsyncClient, file: Path) -> None:
    made = await ask(http, "ana", "POST", name="ci", roles=["user"], expires="2999-01-01T00:00:00Z")
    assert made.status_code == 201, made.text
    first = made.json()["key"]
    assert made.json()["id"] == "acme/ci"
    assert await works(http, first)
    assert first not in file.read_text()
    rotated = await ask(http, "ana", "POST", "/acme/ci/rotate", overlap_s=0)
    second = rotated.json()["key"]
    assert [await works(http, first), await works(http, second)] == [False, True]
    assert (await ask(http, "ana", "PATCH", "/acme/ci", disabled=True)).json()["state"] == "is disabled"
    assert not await works(http, second)
    assert (await ask(http, "ana", "PATCH", "/acme/ci", disabled=False)).json()["state"] == "works"
    assert await works(http, second)
    assert (await ask(http, "ana", "DELETE", "/acme/ci")).status_code == 200
    assert not await works(http, second)
    assert [record.id for record in read_keys(file)] == ["ana", "ben", "max", "eve"]


async def test_keys_of_other_tenants_are_not_there(http: httpx.AsyncClient) -> None:
    listed = (await ask(http, "eve", "GET")).json()["data"]
    assert [card["id"] for card in listed] == ["eve"]
    for method, path in (("DELETE", ""), ("PATCH", ""), ("POST", "/rotate")):
        foreign, unknown = [await ask(http, "eve", method, f"/{name}{path}") for name in ("ben", "bon")]
        assert code_of(foreign) == code_of(unknown) == (404, "object_not_found")
        assert foreign.text.replace("ben", "bon") == unknown.text
    assert await works(http, "ben")
    made = await ask(http, "eve", "POST", name="ben", roles=["viewer"])
    assert made.json()["id"] == "beta/ben", "a name that another tenant has is free"


async def test_nobody_makes_or_changes_a_key_that_may_do_more(http: httpx.AsyncClient) -> None:
    assert code_of(await ask(http, "ben", "GET")) == (403, "insufficient_scope")
    assert code_of(await ask(http, "ana", "POST", name="x", roles=["operator"])) == (403, "insufficient_scope")
    for method, path in (("DELETE", "/max"), ("PATCH", "/max"), ("POST", "/max/rotate")):
        assert code_of(await ask(http, "ana", method, path)) == (403, "insufficient_scope")
    assert await works(http, "max")
    for method in ("DELETE", "PATCH"):
        assert code_of(await ask(http, "ana", method, "/ana")) == (409, "conflict"), "who asks stays"
    for body in ({"name": "a/b", "roles": ["user"]}, {"name": "x", "roles": []}, {"name": "x", "roles": ["king"]}):
        assert (await ask(http, "ana", "POST", **body)).status_code == 400
    assert (await ask(http, "ana", "POST", name="twice", roles=["owner"])).status_code == 201
    assert (await ask(http, "ana", "POST", name="twice", roles=["user"])).status_code == 400


async def test_a_server_without_keys_has_none_to_change(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args) as (http, _):
        assert code_of(await ask(http, "any", "GET")) == (409, "conflict")
