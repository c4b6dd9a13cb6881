"""A store that sends something else than was asked for: nothing of it is served, everything else is."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest

from adaptrix_core.adapters.package.snapshot import Snapshot
from deployments.replica.packages.source import PackageSource
from deployments.store.package_files import read_directory
from deployments.store.shipped import read_shared
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

WEIGHTS = "layer_1.safetensors"
Files = Mapping[str, bytes]

FAULTS: dict[str, Callable[[Files, Files], Files]] = {
    "other bytes": lambda files, other: {**files, WEIGHTS: files[WEIGHTS][:-4] + b"\x00\x00\x80\x7f"},
    "truncated": lambda files, other: {**files, WEIGHTS: files[WEIGHTS][: len(files[WEIGHTS]) // 2]},
    "a file lost": lambda files, other: {name: data for name, data in files.items() if name != WEIGHTS},
    "a file more": lambda files, other: {**files, "layer_3.safetensors": files[WEIGHTS]},
    "another adapter, well signed": lambda files, other: other,
    "nothing": lambda files, other: {},
}


def packed(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(directory, arcname=directory.name)
    return buffer.getvalue()


async def ask(http: httpx.AsyncClient, model: str) -> httpx.Response:
    return await http.post("/v1/completions", json={"model": model, "prompt": "one two", "max_tokens": 2})


def bundle_of(directory: Path) -> str:
    return read_directory(directory).bundle_digest


def lie(store: LocalStore, bundle: str, fault: Callable[[Files, Files], Files], other: Files) -> None:
    """From now on this store hands out something else for ``bundle``."""
    truth = store.actor.read_package

    async def read(wanted: str) -> Snapshot:
        snapshot = await truth(wanted)
        return Snapshot(snapshot.origin, fault(snapshot.files, other)) if wanted == bundle else snapshot

    store.actor.read_package = read  # type: ignore[method-assign]


@pytest.mark.parametrize("what", FAULTS)
async def test_a_store_that_sends_wrong_bytes_publishes_nothing_and_harms_nobody(
    world: World, tmp_path: Path, what: str
) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    good = world.write_adapter(tmp_path, "pushed", 91)
    other = {path.name: path.read_bytes() for path in (world.shipped / "code_generation").iterdir()}
    async with running(args) as (http, store):
        lie(store, bundle_of(good), FAULTS[what], other)
        refused = await http.post("/v1/adapters", content=packed(good))
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "wrong_package")
        assert (await ask(http, "pushed")).status_code == 404
        assert (await ask(http, "math_reasoning")).status_code == 200
        assert not list((store.worker._scratch.path / "packages").glob(bundle_of(good)))
        del store.actor.read_package  # the store is itself again
        assert (await http.post("/v1/adapters", content=packed(good))).status_code == 201
        assert (await ask(http, "pushed")).status_code == 200


async def test_a_poisoned_shared_directory_is_no_way_around_a_lost_store(world: World, tmp_path: Path) -> None:
    bundle = bundle_of(world.write_adapter(tmp_path, "poisoned", 92))
    weights = tmp_path / "poisoned" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x7f")

    async def ask_store(wanted: str) -> Files:
        raise ConnectionError("the store is gone")

    source = PackageSource(ask_store, lambda wanted: read_shared(tmp_path, tmp_path / "packages", wanted))
    with pytest.raises(ConnectionError, match="gone"):
        await source.fetch(bundle, "poisoned")
    # whoever could make the directory answer to that digest still meets the check of the bytes
    careless = PackageSource(ask_store, lambda wanted: Snapshot("", {WEIGHTS: weights.read_bytes()}))
    with pytest.raises(ConnectionError, match="gone"):
        await careless.fetch(bundle, "poisoned")
