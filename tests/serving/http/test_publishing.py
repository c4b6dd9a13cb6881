"""Publishing over HTTP: verified before anybody sees it, versions never overwritten, new files found by themselves."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import tarfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from deployments.replica.packages.source import PackageSource
from deployments.store.disk import packages_directory
from deployments.store.package_files import read_directory
from deployments.store.shipped import read_shared
from tests.serving.conftest import eventually
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

ASK = [{"role": "user", "content": "What is 17 + 25?"}]
Server = tuple[httpx.AsyncClient, LocalStore]


@pytest.fixture
def shipped(world: World, tmp_path: Path) -> Path:
    directory = tmp_path / "shipped"
    shutil.copytree(world.shipped, directory)
    return directory


@pytest_asyncio.fixture
async def server(world: World, tmp_path: Path, shipped: Path) -> AsyncIterator[Server]:
    adapters = {"dir": str(shipped), "state_dir": str(tmp_path / "state"), "poll_s": 0.1}
    args = world.settings(adapters=adapters, router={"enabled": False}, security={"max_upload_bytes": "256KiB"})
    async with running(args) as started:
        yield started


async def ask(http: httpx.AsyncClient, model: str) -> httpx.Response:
    body = {"model": model, "messages": ASK, "max_tokens": 4, "temperature": 0}
    return await http.post("/v1/chat/completions", json=body)


def packed(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(directory, arcname=directory.name)
    return buffer.getvalue()


async def publish(http: httpx.AsyncClient, directory: Path) -> httpx.Response:
    return await http.post("/v1/adapters", content=packed(directory))


async def test_versions_live_side_by_side_and_latest_moves(server: Server, world: World, tmp_path: Path) -> None:
    http, _ = server
    digests = []
    for seed, version in ((41, "1.9.0"), (42, "1.10.0")):
        published = await publish(http, world.write_adapter(tmp_path / version, "pushed", seed, version=version))
        assert published.status_code == 201, published.text
        digests.append(published.json()["digest"])
        assert (await ask(http, "pushed@latest")).headers["x-adaptrix-digest"] == digests[-1]
    assert (await ask(http, "pushed")).headers["x-adaptrix-digest"] == digests[1]
    assert (await ask(http, "pushed@1.9.0")).headers["x-adaptrix-digest"] == digests[0]
    mixed = await ask(http, "pushed@latest*0.5+math_reasoning*0.5")
    assert mixed.headers["x-adaptrix-digest"].startswith(digests[1])
    unloaded = await http.post("/v1/unload_lora_adapter", json={"lora_name": "pushed@latest", "allow_downgrade": True})
    assert unloaded.status_code == 200
    assert (await ask(http, "pushed@latest")).headers["x-adaptrix-digest"] == digests[0]


async def test_of_two_publishers_of_one_version_the_second_is_told(
    server: Server, world: World, tmp_path: Path
) -> None:
    http, store = server
    first = world.write_adapter(tmp_path / "a", "pushed", 51)
    other = world.write_adapter(tmp_path / "b", "pushed", 52)
    answers = await asyncio.gather(publish(http, first), publish(http, other), publish(http, first))
    assert sorted(answer.status_code for answer in answers) in ([200, 201, 409], [201, 409, 409])
    (winner,) = [answer for answer in answers if answer.status_code == 201]
    (loser,) = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409}
    assert loser == "version_conflict"
    assert (await ask(http, "pushed")).headers["x-adaptrix-digest"] == winner.json()["digest"]
    assert [entry.version for entry in store.catalogue.entries if entry.name == "pushed"] == ["1.0.0"]


async def test_what_does_not_verify_is_never_seen(server: Server, world: World, tmp_path: Path) -> None:
    http, store = server
    poisoned = world.write_adapter(tmp_path / "poisoned", "pushed", 61)
    weights = poisoned / "layer_1.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x80\x7f")
    unsigned = world.write_adapter(tmp_path / "unsigned", "pushed", 62, signed=False)
    for directory, code in ((poisoned, "tampered"), (unsigned, "signature_missing")):
        refused = await publish(http, directory)
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
        assert (await ask(http, "pushed")).status_code == 404
    assert (await http.post("/v1/adapters", content=b"nothing")).json()["error"]["code"] == "bad_archive"
    assert (await http.post("/v1/adapters", content=b"x" * (300 << 10))).status_code == 413
    assert not list(packages_directory(tmp_path / "state").iterdir())
    assert {entry.name for entry in store.catalogue.public.servable()} == {
        "math_reasoning",
        "code_generation",
        "logical_reasoning",
    }


async def test_a_directory_that_appears_changes_or_goes_is_noticed(
    server: Server, world: World, shipped: Path, tmp_path: Path
) -> None:
    http, _ = server
    versions = [world.write_adapter(tmp_path / str(seed), "dropped", seed) for seed in (71, 72)]
    digests = []
    for source in versions:
        shutil.copytree(source, shipped / "dropped", dirs_exist_ok=True)

        async def answers_anew() -> bool:
            answer = await ask(http, "dropped")
            return answer.status_code == 200 and answer.headers["x-adaptrix-digest"] not in digests

        await eventually(answers_anew)
        digests.append((await ask(http, "dropped")).headers["x-adaptrix-digest"])
    shutil.rmtree(shipped / "dropped")

    async def is_gone() -> bool:
        return (await ask(http, "dropped")).status_code == 404

    await eventually(is_gone)
    assert (await ask(http, "math_reasoning")).status_code == 200


async def test_a_poisoned_adapter_in_the_shared_directory_is_listed_as_refused_and_harms_nobody(
    server: Server, world: World, shipped: Path, tmp_path: Path
) -> None:
    http, _ = server
    poisoned = world.write_adapter(tmp_path, "poisoned", 81)
    metadata = json.loads((poisoned / "metadata.json").read_text())
    (poisoned / "metadata.json").write_text(json.dumps({**metadata, "description": "changed"}))
    shutil.copytree(poisoned, shipped / "poisoned")

    async def refused() -> bool:
        return (await ask(http, "poisoned")).status_code == 422

    await eventually(refused)
    assert (await ask(http, "poisoned")).json()["error"]["code"] == "tampered"
    assert (await ask(http, "math_reasoning")).status_code == 200


@pytest.mark.parametrize("fault", ["lost", "other bytes", "truncated"])
async def test_a_store_that_does_not_deliver_is_replaced_by_the_shared_directory(
    world: World, tmp_path: Path, fault: str
) -> None:
    bundle = read_directory(world.shipped / "math_reasoning").bundle_digest

    async def ask_store(wanted: str) -> Mapping[str, bytes]:
        if fault == "lost":
            raise ConnectionError("the store is gone")
        files = dict(read_shared(world.shipped, tmp_path, wanted).files)
        files["layer_1.safetensors"] = b"other" if fault == "other bytes" else files["layer_1.safetensors"][:-1]
        return files

    source = PackageSource(ask_store, lambda wanted: read_shared(world.shipped, tmp_path, wanted))
    delivered = await source.fetch(bundle, "maths")
    assert set(delivered.files) == {path.name for path in (world.shipped / "math_reasoning").iterdir()}

    nowhere = PackageSource(ask_store, lambda wanted: read_shared(tmp_path, tmp_path, wanted))
    with pytest.raises(Exception, match="gone" if fault == "lost" else "asked for bundle"):
        await nowhere.fetch(bundle, "maths")
