"""What is handed in is what is judged, by today's keys: equal weights or files that are held vouch for nothing."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.adapters import generate_key_pair, sign_package
from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from deployments.shared.entry import LoadCall
from deployments.store.disk import StoreFiles, packages_directory
from deployments.store.package_files import read_directory
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import ask, packed, publish
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

Server = tuple[httpx.AsyncClient, LocalStore]
SERVED = "math_reasoning"


@pytest.fixture
def keys(world: World, tmp_path: Path) -> Path:
    shutil.copytree(world.keys, tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def args(world: World, tmp_path: Path, keys: Path) -> dict[str, object]:
    adapters = {"state_dir": str(tmp_path / "state"), "trusted_keys_dir": str(keys)}
    return world.settings(
        adapters=adapters, router={"enabled": False}, security={"load_roots": [str(tmp_path), str(world.shipped)]}
    )


@pytest_asyncio.fixture
async def server(args: dict[str, object]) -> AsyncIterator[Server]:
    async with running(args) as started:
        yield started


async def load(http: httpx.AsyncClient, name: str, path: Path, **fields: object) -> httpx.Response:
    return await http.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(path), **fields})


def copy(world: World, tmp_path: Path, change: Callable[[Path], object]) -> Path:
    directory = tmp_path / "copies" / SERVED
    shutil.copytree(world.shipped / SERVED, directory)
    change(directory)
    return directory


def other_version(world: World, tmp_path: Path) -> bytes:
    other = world.write_adapter(tmp_path / "other", SERVED, 77, version="0.9.0")
    return (other / SIGNATURE_FILE).read_bytes()


def stranger(tmp_path: Path) -> Path:
    generate_key_pair(tmp_path / "stranger.key", tmp_path / "stranger.pub")
    return tmp_path / "stranger.key"


CHANGES: dict[str, tuple[str, Callable[[World, Path, Path], object]]] = {
    "no signature": ("signature_missing", lambda world, tmp, at: (at / SIGNATURE_FILE).unlink()),
    "another version's signature": (
        "tampered",
        lambda world, tmp, at: (at / SIGNATURE_FILE).write_bytes(other_version(world, tmp)),
    ),
    "a stranger's signature": ("untrusted_key", lambda world, tmp, at: sign_package(at, stranger(tmp))),
    "an empty signature": ("bad_signature", lambda world, tmp, at: (at / SIGNATURE_FILE).write_bytes(b"{}")),
}


@pytest.mark.parametrize("how", ["load", "publish"])
@pytest.mark.parametrize("what", CHANGES)
async def test_a_copy_of_a_served_adapter_is_judged_by_its_own_signature(
    server: Server, world: World, tmp_path: Path, what: str, how: str
) -> None:
    http, store = server
    code, change = CHANGES[what]
    directory = copy(world, tmp_path, lambda at: change(world, tmp_path, at))
    assert read_directory(directory).package_digest == read_directory(world.shipped / SERVED).package_digest
    before = await ask(http, SERVED)
    refused = await (load(http, "copied", directory) if how == "load" else publish(http, directory))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
    assert (await ask(http, "copied")).status_code == 404
    assert (await ask(http, SERVED)).json()["choices"] == before.json()["choices"]
    assert not list(packages_directory(tmp_path / "state").iterdir())
    assert not any(entry.staged for entry in store.catalogue.entries)


@pytest.mark.parametrize("how", ["load", "publish"])
async def test_a_key_that_was_taken_away_vouches_for_nothing_that_comes_later(
    server: Server, world: World, tmp_path: Path, keys: Path, how: str
) -> None:
    http, _ = server
    assert (await load(http, "first", world.shipped / SERVED)).status_code == 200
    (keys / "tests.pub").unlink()
    again = world.shipped / SERVED
    refused = await (load(http, "second", again) if how == "load" else http.post("/v1/adapters", content=packed(again)))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "untrusted_key")
    assert (await ask(http, "second")).status_code == 404
    assert (await ask(http, "first")).status_code == 200, "what was loaded before goes on"


async def test_an_alias_outlives_a_restart_and_takes_nothing_with_it(
    args: dict[str, object], world: World, tmp_path: Path
) -> None:
    async with running(args) as (http, _):
        assert (await load(http, "sums", world.shipped / SERVED)).status_code == 200
        answer = (await ask(http, SERVED)).json()["choices"]
    async with running(args) as (http, _):
        assert (await ask(http, "sums")).json()["choices"] == answer
        assert (await http.post("/v1/unload_lora_adapter", json={"lora_name": "sums"})).status_code == 200
        assert (await ask(http, SERVED)).json()["choices"] == answer
    async with running(args) as (http, _):
        assert (await ask(http, "sums")).status_code == 404
        assert (await ask(http, SERVED)).json()["choices"] == answer


@pytest.mark.parametrize("name", ["mcopy", SERVED], ids=["under another name", "under its own name"])
async def test_a_state_directory_from_before_that_holds_an_unsigned_copy_heals(
    args: dict[str, object], world: World, tmp_path: Path, name: str
) -> None:
    """Schema 1 kept packages by a digest that leaves the signature out, and looked there first."""
    snapshot = read_directory(world.shipped / SERVED)
    unsigned = tmp_path / "state" / "packages" / snapshot.package_digest
    shutil.copytree(world.shipped / SERVED, unsigned)
    (unsigned / SIGNATURE_FILE).unlink()
    index = tmp_path / "state" / "catalogue" / "index.json"
    index.parent.mkdir()
    item = {"name": name, "package": snapshot.package_digest, "loaded_at": 1}
    index.write_text(json.dumps({"schema_version": 1, "loaded": [item], "unloaded": []}))
    for _ in range(2):
        async with running(args) as (http, store):
            assert (await ask(http, SERVED)).status_code == 200
            entry = store.catalogue.public.find(SERVED)
            assert entry is not None
            assert entry.shipped
            if name != SERVED:
                refused = await ask(http, name)
                assert (refused.status_code, refused.json()["error"]["code"]) == (422, "signature_missing")
            assert (await http.get("/v1/models")).status_code == 200


async def test_what_schema_1_knew_is_still_there(args: dict[str, object], world: World, tmp_path: Path) -> None:
    extra = world.write_adapter(tmp_path, "extra", 31)
    snapshot = read_directory(extra)
    shutil.copytree(extra, tmp_path / "state" / "packages" / snapshot.package_digest)
    index = tmp_path / "state" / "catalogue" / "index.json"
    index.parent.mkdir()
    item = {"name": "extra", "package": snapshot.package_digest, "loaded_at": 7}
    hidden = read_directory(world.shipped / "code_generation").package_digest
    index.write_text(json.dumps({"schema_version": 1, "loaded": [item], "unloaded": [hidden]}))
    async with running(args) as (http, store):
        assert (await ask(http, "extra")).headers["x-adaptrix-digest"] == snapshot.package_digest
        assert (await ask(http, "code_generation")).status_code == 404
        entry = store.catalogue.public.find("extra")
        assert entry is not None
        assert entry.loaded_at == 7


async def test_loads_of_one_name_that_contend_are_told_to_come_again(
    server: Server, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, store = server
    begun, go = asyncio.Event(), asyncio.Event()
    offer = store.actor._offer

    async def slow(entry: object) -> object:
        begun.set()
        await go.wait()
        return await offer(entry)  # type: ignore[arg-type]

    monkeypatch.setattr(store.actor, "_offer", slow)
    first = asyncio.create_task(load(http, "twice", world.shipped / SERVED))
    await begun.wait()
    second = await load(http, "twice", world.shipped / SERVED)
    third = await http.post("/v1/unload_lora_adapter", json={"lora_name": "twice"})
    for refused in (second, third):
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "adapter_busy")
        assert int(refused.headers["retry-after"]) >= 1
    go.set()
    assert (await first).status_code == 200
    assert (await load(http, "twice", world.shipped / SERVED)).json()["error"]["code"] == "adapter_exists"


async def test_a_name_that_goes_does_not_wait_for_another_that_comes_to_mean_the_same(
    server: Server, world: World
) -> None:
    """Unloading one of two names of one bundle waited for replicas to let go of what the other still needs."""
    http, store = server
    directory = world.shipped / SERVED
    await store.unload_adapter(SERVED)  # nobody else holds the bundle
    for _ in range(5):
        assert (await load(http, "a", directory)).status_code == 200
        unloading = asyncio.create_task(http.post("/v1/unload_lora_adapter", json={"lora_name": "a"}))
        await eventually(lambda going=unloading: store.actor._busy == {"a"} or going.done())
        assert (await load(http, "b", directory)).status_code == 200
        assert (await asyncio.wait_for(unloading, 60)).status_code == 200
        assert (await ask(http, "b")).status_code == 200
        assert (await http.post("/v1/unload_lora_adapter", json={"lora_name": "b"})).status_code == 200


async def test_two_names_of_one_bundle_that_come_and_go_at_once_keep_its_files(world: World, tmp_path: Path) -> None:
    extra = world.write_adapter(tmp_path, "extra", 33)
    files = StoreFiles(world.shipped, tmp_path / "state")
    files.open()
    first = files.commit(files.stage(LoadCall("a", str(extra))))
    second = files.stage(LoadCall("b", str(extra)))
    files.remove([first])
    files.commit(second)
    entries = {entry.name: entry for entry in StoreFiles(world.shipped, tmp_path / "state").open()}
    assert "a" not in entries
    assert entries["b"].bundle_digest == first.bundle_digest
