"""What a composition on a server is held to: its own signature, its name's owner, and its parts' signed digests."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.adapters import generate_key_pair
from adaptrix_core.adapters.package.contents import sign_package
from adaptrix_core.adapters.package.file_names import METADATA_FILE
from adaptrix_core.adapters.trust.revocation import RevocationList
from tests.serving.compositions import HALVES, write
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import packed
from tests.serving.inprocess import LocalStore, running
from tests.serving.store.test_revocation import package_of, revoke
from tests.serving.tiny import World

Server = tuple[httpx.AsyncClient, LocalStore]
LONG = {"max_tokens": 3000, "ignore_eos": True}


@pytest.fixture
def shipped(world: World, tmp_path: Path) -> Path:
    directory = tmp_path / "shipped"
    shutil.copytree(world.shipped, directory)
    return directory


@pytest_asyncio.fixture
async def server(world: World, tmp_path: Path, shipped: Path) -> AsyncIterator[Server]:
    adapters = {"dir": str(shipped), "state_dir": str(tmp_path / "state"), "poll_s": 0.1}
    async with running(world.settings(adapters=adapters, router={"enabled": False})) as started:
        yield started


@pytest.fixture
def mix(world: World, shipped: Path, tmp_path: Path) -> Path:
    return Path(shutil.move(write(world, shipped, "mix", HALVES), tmp_path / "mix"))


async def ask(http: httpx.AsyncClient, model: str, **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "17 + 25?"}], "max_tokens": 4, "temperature": 0}
    return await http.post("/v1/chat/completions", json={**body, **fields})


async def publish(http: httpx.AsyncClient, directory: Path) -> httpx.Response:
    return await http.post("/v1/adapters", content=packed(directory))


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def rewrite(directory: Path, world: World | None = None, **fields: Any) -> None:
    path = directory / METADATA_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    if world is not None:
        sign_package(directory, world.private_key)


async def test_an_unsigned_changed_or_foreign_composition_is_never_seen(
    server: Server, mix: Path, world: World, tmp_path: Path
) -> None:
    http, store = server
    stranger = tmp_path / "stranger.key"
    generate_key_pair(stranger, stranger.with_suffix(".pub"))
    for change, code in (
        (lambda: rewrite(mix, composition={"parallel": {"math_reasoning": 5.0, "code_generation": 0.5}}), "tampered"),
        (lambda: sign_package(mix, stranger), "untrusted_key"),
        (lambda: (mix / "signature.json").unlink(), "signature_missing"),
        (lambda: rewrite(mix, world, composition={"parallel": {"math_reasoning": 0.5}}), "bad_composition"),
        (lambda: rewrite(mix, composition={"parallel": [0] * 5000}), "bad_metadata"),
    ):
        change()
        refused = await publish(http, mix)
        assert error_of(refused) == (422, code), refused.text
    assert {entry.name for entry in store.catalogue.entries} == set(world_names(world))


def world_names(world: World) -> list[str]:
    return [directory.name for directory in world.shipped.iterdir()]


async def test_a_composition_never_takes_a_shipped_adapters_name(
    server: Server, mix: Path, world: World, tmp_path: Path
) -> None:
    http, _ = server
    partner = tmp_path / "partner.key"
    generate_key_pair(partner, tmp_path / "partner.pub")
    before = (await ask(http, "math_reasoning")).json()["choices"]
    trusted = world.keys / "partner.pub"
    shutil.copy(tmp_path / "partner.pub", trusted)
    try:
        rewrite(mix, name="math_reasoning", version="9.9.9")
        sign_package(mix, partner)
        assert error_of(await publish(http, mix)) == (409, "name_owned")
    finally:
        trusted.unlink()
    assert (await ask(http, "math_reasoning")).json()["choices"] == before


async def test_a_part_swapped_under_the_same_name_is_refused_with_both_digests(
    server: Server, mix: Path, world: World, shipped: Path, tmp_path: Path
) -> None:
    http, store = server
    assert (await publish(http, mix)).status_code == 201
    signed = package_of(store, "math_reasoning")
    shutil.rmtree(shipped / "math_reasoning")
    world.write_adapter(tmp_path, "math_reasoning", seed=77, version="1.0.0")  # of the same signer
    shutil.move(tmp_path / "math_reasoning", shipped / "math_reasoning")

    def is_swapped() -> bool:
        entry = store.catalogue.public.find("math_reasoning")
        return entry is not None and entry.package_digest != signed

    await eventually(is_swapped)

    async def is_refused() -> bool:
        return (await ask(http, "mix")).status_code == 422

    await eventually(is_refused)
    error = (await ask(http, "mix")).json()["error"]
    assert error["code"] == "changed_part"
    assert signed in error["message"]
    assert package_of(store, "math_reasoning") in error["message"]
    card = (await http.get("/v1/adapters/mix")).json()
    assert {why["code"] for why in card["refused"].values()} == {"changed_part"}
    assert error_of(await publish(http, mix)) == (422, "changed_part")


async def test_without_a_part_it_is_refused_and_with_it_again_it_answers(
    server: Server, mix: Path, world: World
) -> None:
    http, _ = server
    assert (await publish(http, mix)).status_code == 201
    unloaded = await http.post("/v1/unload_lora_adapter", json={"lora_name": "code_generation"})
    assert unloaded.status_code == 200, unloaded.text
    refused = await ask(http, "mix")
    assert error_of(refused) == (422, "missing_part")
    assert "code_generation@1.0.0" in refused.json()["error"]["message"]
    assert (await ask(http, "mix", adaptrix={"fallback": "base"})).headers["x-adaptrix-adapter"] == "base"
    loaded = await http.post(
        "/v1/load_lora_adapter", json={"lora_name": "code_generation", "lora_path": "code_generation"}
    )
    assert loaded.status_code == 200, loaded.text

    async def answers() -> bool:
        return (await ask(http, "mix")).status_code == 200

    await eventually(answers)


@pytest.mark.parametrize("revoked", ["mix", "math_reasoning"])
async def test_a_revoked_composition_or_part_ends_what_runs_and_refuses_what_comes(
    server: Server, mix: Path, world: World, revoked: str
) -> None:
    http, store = server
    assert (await publish(http, mix)).status_code == 201
    package = package_of(store, revoked)
    running_answer = asyncio.create_task(ask(http, "mix", **LONG))
    other = asyncio.create_task(ask(http, "code_generation", max_tokens=100, ignore_eos=True))

    async def both_run() -> bool:
        return (await store.worker.report("r", "")).stats["rows_running"] >= 2

    await eventually(both_run)
    assert (await revoke(http, world, RevocationList(1, {package: "they collude"}))).status_code == 200
    ended = await running_answer
    assert error_of(ended) == (422, "adapter_revoked")
    assert "they collude" in ended.json()["error"]["message"]
    refused = await ask(http, "mix")
    assert error_of(refused) == (422, "adapter_revoked")
    assert (await other).json()["usage"]["completion_tokens"] == 100
    assert store.worker._engine.check_integrity() == []


async def test_a_composition_whose_parts_are_not_there_is_not_published(
    server: Server, world: World, shipped: Path, tmp_path: Path
) -> None:
    http, _ = server
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(shipped, elsewhere)
    world.write_adapter(elsewhere, "unknown", seed=5)
    lonely = write(world, elsewhere, "lonely", {"parallel": {"unknown": 1.0, "math_reasoning": 1.0}})
    refused = await publish(http, lonely)
    assert error_of(refused) == (422, "missing_part")
    assert (await publish(http, elsewhere / "unknown")).status_code == 201
    assert (await publish(http, lonely)).status_code == 201
    assert (await ask(http, "lonely")).status_code == 200


@pytest.mark.parametrize("name", ["mix", "Team/Mix"])
async def test_it_is_loaded_by_path_and_shown_under_another_name(
    server: Server, mix: Path, world: World, name: str
) -> None:
    http, _ = server
    place = world.uploads / "a-mix"
    shutil.copytree(mix, place, dirs_exist_ok=True)
    loaded = await http.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(place)})
    assert loaded.status_code == 200, loaded.text
    assert (await ask(http, name)).headers["x-adaptrix-adapter"] == name
