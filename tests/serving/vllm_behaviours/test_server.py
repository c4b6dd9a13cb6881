"""Models, adapters that come and go, keys, health, and what is no JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from adaptrix_core import __version__
from deployments.callers.key_file import hash_key
from tests.serving.conftest import BASE_ID, Local, eventually
from tests.serving.inprocess import running
from tests.serving.tiny import World
from tests.serving.vllm_behaviours.rows import ADAPTER, complete, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY = "adx-of-the-tests"


async def test_the_base_comes_first_and_adapters_have_it_for_a_parent(local: Local) -> None:
    models = (await local.openai.models.list()).data
    assert (models[0].id, models[0].root, models[0].parent) == (BASE_ID, BASE_ID, None)  # type: ignore[attr-defined]
    assert all(model.parent == BASE_ID for model in models[1:])  # type: ignore[attr-defined]
    assert ADAPTER in [model.id for model in models]


async def test_an_adapter_that_is_loaded_is_listed_with_its_path(local: Local, world: World) -> None:
    path = world.write_adapter(world.uploads, "vllm_lineage", 91)
    answer = await local.http.post("/v1/load_lora_adapter", json={"lora_name": "vllm_lineage", "lora_path": str(path)})
    assert answer.status_code == 200
    assert "success" in answer.text.lower()
    found = (await local.http.get("/v1/models/vllm_lineage")).json()
    assert (found["root"], found["parent"]) == (str(path), BASE_ID)


async def test_ten_adapters_are_loaded_and_asked_at_once(local: Local, world: World) -> None:
    async def loaded_and_asked(name: str, seed: int) -> None:
        path = str(world.write_adapter(world.uploads, name, seed))
        body = {"lora_name": name, "lora_path": path}
        assert (await local.http.post("/v1/load_lora_adapter", json=body)).status_code == 200
        for _ in range(3):
            assert text_of(
                await complete(local, name, prompt=["Hello there", "Foo bar"], max_tokens=5, ignore_eos=True)
            )

    await asyncio.gather(*(loaded_and_asked(f"vllm_many_{number}", 200 + number) for number in range(10)))


async def test_adapters_that_cannot_be_loaded_disturb_nobody(local: Local, world: World) -> None:
    broken = world.uploads / "vllm_broken"
    broken.mkdir()
    (broken / "adapter_config.json").write_text("this is not json")

    async def load(path: str) -> int:
        body = {"lora_name": "vllm_invalid", "lora_path": path}
        return (await local.http.post("/v1/load_lora_adapter", json=body)).status_code

    asked = [complete(local, ADAPTER, prompt=["Hello there", "Foo bar"], max_tokens=5) for _ in range(8)]
    statuses = [load(str(broken)) for _ in range(5)]
    answers, refused = await asyncio.gather(asyncio.gather(*asked), asyncio.gather(*statuses))
    assert all(len(answer["choices"]) == 2 for answer in answers)
    assert all(400 <= status < 500 for status in refused)


async def test_an_adapter_that_is_unloaded_is_not_found(local: Local, world: World) -> None:
    path = str(world.write_adapter(world.uploads, "vllm_gone", 92))
    await local.http.post("/v1/load_lora_adapter", json={"lora_name": "vllm_gone", "lora_path": path})
    assert (await local.http.post("/v1/unload_lora_adapter", json={"lora_name": "vllm_gone"})).status_code == 200
    assert (await local.http.get("/v1/models/vllm_gone")).status_code == 404


async def test_an_adapter_that_is_nowhere_is_refused(local: Local) -> None:
    body = {"lora_name": "vllm_nowhere", "lora_path": "/not/an/adapter"}
    assert 400 <= (await local.http.post("/v1/load_lora_adapter", json=body)).status_code < 500


async def test_the_version(local: Local) -> None:
    assert (await local.http.get("/version")).json() == {"version": __version__}


@pytest.mark.parametrize("path", ["/health", "/ping"])
async def test_it_is_well(local: Local, path: str) -> None:
    async def answers() -> bool:
        return (await local.http.get(path)).status_code == 200

    await eventually(answers)


async def test_what_says_that_it_is_a_form_is_refused_as_what_it_is(local: Local) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await local.http.post("/v1/chat/completions", content="model=x&messages=y", headers=headers)
    assert 400 <= answer.status_code < 500


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A server that wants keys."""
    root: Path = tmp_path_factory.mktemp("guarded")
    keys = root / "keys.json"
    keys.write_text(f'{{"keys": [{{"id": "k", "sha256": "{hash_key(KEY)}", "tenant": "t", "scopes": ["admin"]}}]}}')
    args = world.settings(adapters={"state_dir": str(root / "state")}, router={"enabled": False})
    async with running(args, keys=keys) as (http, _):
        yield http


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"authorization": "Bearer wrong"}, 401), ({"authorization": f"Bearer {KEY}"}, 200)],
    ids=["no key", "a wrong one", "the right one"],
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/adapters"])
async def test_a_key_is_wanted(guarded: httpx.AsyncClient, path: str, headers: dict[str, str], status: int) -> None:
    assert (await guarded.get(path, headers=headers)).status_code == status


@pytest.mark.parametrize("path", ["/health", "/ping", "/version"])
async def test_the_pulse_needs_no_key(guarded: httpx.AsyncClient, path: str) -> None:
    assert (await guarded.get(path)).status_code != 401
