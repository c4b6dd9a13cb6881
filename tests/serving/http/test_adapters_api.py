"""Adapters at run time: load, use, unload while in use, fall back, and what the listing says."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import httpx
import pytest

from adaptrix_core.cli.remote import RemoteTarget
from adaptrix_core.routing.embedder import TextEmbedder
from deployments.callers.key_file import hash_key, new_key
from tests.serving.conftest import BASE_ID, Local, eventually
from tests.serving.inprocess import running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = [{"role": "user", "content": "What is 17 + 25?"}]
CHAT = "/v1/chat/completions"


async def load(http: httpx.AsyncClient, path: Path, name: str) -> httpx.Response:
    return await http.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(path)})


async def unload(http: httpx.AsyncClient, name: str, **fields: object) -> httpx.Response:
    return await http.post("/v1/unload_lora_adapter", json={"lora_name": name, **fields})


async def ask(http: httpx.AsyncClient, model: str, **fields: object) -> httpx.Response:
    return await http.post(CHAT, json={"model": model, "messages": ASK, "max_tokens": 8, "temperature": 0, **fields})


async def test_load_use_unload(local: Local) -> None:
    path = local.world.write_adapter(local.world.uploads, "extra", 31)
    loaded = await load(local.http, path, "extra")
    assert (loaded.status_code, loaded.text) == (200, "Success: LoRA adapter 'extra' added successfully.")
    answer = await ask(local.http, "extra")
    assert answer.headers["x-adaptrix-adapter"] == "extra"
    assert (await load(local.http, path, "extra")).status_code == 400
    removed = await unload(local.http, "extra")
    assert (removed.status_code, removed.text) == (200, "Success: LoRA adapter 'extra' removed successfully.")
    assert (await ask(local.http, "extra")).status_code == 404
    assert (await load(local.http, path, "extra")).status_code == 200
    assert (await ask(local.http, "extra")).json()["choices"] == answer.json()["choices"]
    assert (await unload(local.http, "extra")).status_code == 200


async def test_relative_paths_and_unprefixed_endpoints(local: Local) -> None:
    local.world.write_adapter(local.world.uploads, "extra", 31)
    body = {"lora_name": "extra", "lora_path": "extra"}
    assert (await local.http.post("/load_lora_adapter", json=body)).status_code == 200
    assert (await local.http.post("/unload_lora_adapter", json={"lora_name": "extra"})).status_code == 200


async def test_the_newest_version_answers_and_each_can_be_named(local: Local) -> None:
    for seed, version in ((41, "1.9.0"), (42, "1.10.0")):
        path = local.world.write_adapter(local.world.uploads / version, "versioned", seed, version=version)
        assert (await load(local.http, path, "versioned")).status_code == 200
    newest, old = await ask(local.http, "versioned"), await ask(local.http, "versioned@1.9.0")
    assert newest.json()["choices"] == (await ask(local.http, "versioned@1.10.0")).json()["choices"]
    assert newest.headers["x-adaptrix-digest"] != old.headers["x-adaptrix-digest"]
    assert (await unload(local.http, "versioned@1.10.0", allow_downgrade=True)).status_code == 200
    assert (await ask(local.http, "versioned")).json()["choices"] == old.json()["choices"]
    assert (await unload(local.http, "versioned")).status_code == 200


async def test_unloading_waits_for_the_requests_that_use_it(local: Local) -> None:
    path = local.world.write_adapter(local.world.uploads, "busy", 51)
    assert (await load(local.http, path, "busy")).status_code == 200
    running_request = asyncio.create_task(ask(local.http, "busy", max_tokens=400, ignore_eos=True))
    (entry,) = [e for e in local.store.catalogue.entries if e.name == "busy"]

    async def started() -> bool:
        return (await local.store.worker.report("r", "")).stats["rows_running"] > 0

    await eventually(started)
    unloading = asyncio.create_task(unload(local.http, "busy"))
    await eventually(lambda: local.store.catalogue.public.find("busy") is None)
    assert (await ask(local.http, "busy")).status_code == 404
    assert not running_request.done()
    assert not unloading.done()
    answer = await running_request
    assert answer.json()["usage"]["completion_tokens"] == 400
    assert (await unloading).status_code == 200
    assert entry.bundle_digest not in local.store.worker.holdings.report()[0]


async def test_loading_goes_on_while_requests_run(local: Local) -> None:
    path = local.world.write_adapter(local.world.uploads, "during", 61)
    requests = [asyncio.create_task(ask(local.http, "math_reasoning", max_tokens=60)) for _ in range(6)]
    assert (await load(local.http, path, "during")).status_code == 200
    answers = await asyncio.gather(*requests)
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json()["choices"]) for answer in answers}) == 1
    assert (await unload(local.http, "during")).status_code == 200


async def test_vllm_47724_unload_and_reload_under_load_answers_with_the_weights_it_names(local: Local) -> None:
    paths = [local.world.write_adapter(local.world.uploads / str(seed), "shared", seed) for seed in (101, 102)]
    expected: dict[str, str] = {}
    for path in paths:
        assert (await load(local.http, path, "shared")).status_code == 200
        answer = await ask(local.http, "shared")
        expected[answer.headers["x-adaptrix-digest"]] = answer.json()["choices"][0]["message"]["content"]
        assert (await unload(local.http, "shared")).status_code == 200
    assert len(set(expected.values())) == 2
    served: list[str] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        while not done.is_set():
            answer = await ask(local.http, "shared")
            if answer.status_code != 404:
                assert answer.status_code == 200, answer.text
                served.append(answer.headers["x-adaptrix-digest"])
                assert answer.json()["choices"][0]["message"]["content"] == expected[served[-1]]

    asking = [asyncio.create_task(keep_asking()) for _ in range(3)]
    for turn in range(6):
        assert (await load(local.http, paths[turn % 2], "shared")).status_code == 200
        seen = len(served)
        await eventually(lambda seen=seen: len(served) > seen)
        assert (await unload(local.http, "shared")).status_code == 200
    done.set()
    await asyncio.gather(*asking)
    assert set(served) == set(expected)


async def test_the_listing_says_who_signed_and_where_it_is(local: Local) -> None:
    await ask(local.http, "math_reasoning")

    async def on_device() -> bool:
        listing = (await local.http.get("/v1/adapters")).json()
        (adapter,) = [a for a in listing["data"] if a["name"] == "math_reasoning"]
        assert adapter["signer"] == "tests"
        assert len(adapter["digest"]) == len(adapter["weights_digest"]) == 64
        return adapter["residency"] == {"replica-1": "device"}

    await eventually(on_device)


async def test_one_adapter_is_shown_with_what_it_says_about_itself(local: Local) -> None:
    shown = (await local.http.get("/v1/adapters/math_reasoning@1.0.0")).json()
    (listed,) = [a for a in (await local.http.get("/v1/adapters")).json()["data"] if a["name"] == "math_reasoning"]
    about = {key: shown.pop(key) for key in ("metadata", "num_points", "size_bytes", "calibrations")}
    assert shown == listed
    assert about["calibrations"] == []
    directory = local.world.shipped / "math_reasoning"
    written = json.loads((directory / "metadata.json").read_text())
    assert about["num_points"] == len(written.pop("points"))
    assert about["metadata"] == written
    assert about["size_bytes"] == sum(path.stat().st_size for path in directory.iterdir())
    unknown = await local.http.get("/v1/adapters/math_reasonin")
    assert unknown.status_code == 404
    assert "did you mean 'math_reasoning'" in unknown.json()["error"]["message"]


@pytest.mark.parametrize(("engine", "cut"), [({}, 1), ({"cut": 2}, 2), ({"cut": 0}, 0)], ids=["left open", "2", "none"])
async def test_status_shows_the_cut_of_the_catalogue_or_of_the_settings(
    world: World, tmp_path: Path, engine: dict[str, object], cut: int
) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, engine=engine)
    async with running(args) as (http, _), RemoteTarget("http://127.0.0.1") as target:
        target._client = http

        async def is_up() -> bool:
            return (await http.get("/health")).status_code == 200

        await eventually(is_up)
        status = await target.status()
    assert status["cut"] == {"replica-1": cut}
    assert {row["name"] for row in status["adapters"]} == {"math_reasoning", "code_generation", "logical_reasoning"}


async def test_a_broken_adapter_falls_back_only_where_the_request_allows_it(
    world: World, embedder: TextEmbedder, tmp_path: Path
) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(world.shipped, shipped)
    (shipped / "math_reasoning" / "signature.json").unlink()
    args = world.settings(adapters={"dir": str(shipped), "state_dir": str(tmp_path / "state")})
    async with running(args, embedder) as (http, _):
        routed = await ask(http, "auto")
        assert routed.status_code == 200
        assert routed.headers["x-adaptrix-adapter"] == "base"
        assert "math_reasoning" in routed.headers["x-adaptrix-fallback"]
        assert routed.json()["choices"] == (await ask(http, BASE_ID)).json()["choices"]
        named = await ask(http, "math_reasoning")
        assert named.status_code == 422
        assert named.json()["error"]["code"] == "signature_missing"
        allowed = await ask(http, "math_reasoning", adaptrix={"fallback": "base"})
        assert allowed.headers["x-adaptrix-adapter"] == "base"
        assert allowed.json()["model"] == BASE_ID
        assert "signature_missing" in allowed.json()["adaptrix"]["fallback"]
        streamed = await ask(http, "math_reasoning", adaptrix={"fallback": "base"}, stream=True)
        assert "signature_missing" in streamed.headers["x-adaptrix-fallback"]
        chunks = [json.loads(line.removeprefix("data: ")) for line in streamed.text.split("\n\n")[:-2]]
        assert all("signature_missing" in chunk["adaptrix"]["fallback"] for chunk in chunks)
        assert "adaptrix" not in (await ask(http, BASE_ID)).json()
        strict = await ask(http, "auto", adaptrix={"fallback": "error"})
        assert strict.status_code == 422
        assert (await ask(http, "code_generation")).status_code == 200
        (listed,) = [a for a in (await http.get("/v1/adapters")).json()["data"] if a["name"] == "math_reasoning"]
        assert listed["refused"]["replica-1"]["code"] == "signature_missing"


async def test_keys_separate_users_from_admins(world: World, tmp_path: Path) -> None:
    user, admin = new_key(), new_key()
    keys = tmp_path / "keys.json"
    records = [
        {"id": "user", "sha256": hash_key(user), "tenant": "a", "scopes": ["generate"]},
        {"id": "admin", "sha256": hash_key(admin), "tenant": "b", "scopes": ["generate", "admin"]},
    ]
    keys.write_text(json.dumps({"keys": records}))
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    path = world.write_adapter(world.uploads, "extra", 31)
    async with running(args, keys=keys) as (http, _):
        for header in (None, "Bearer wrong", "Basic x"):
            http.headers.pop("authorization", None)
            if header:
                http.headers["authorization"] = header
            for answer in (await ask(http, BASE_ID), await http.get("/v1/models"), await load(http, path, "extra")):
                assert answer.status_code == 401
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert answer.headers["www-authenticate"] == "Bearer"
        assert (await http.get("/health")).status_code == 200
        http.headers["authorization"] = f"Bearer {user}"
        assert (await ask(http, BASE_ID)).status_code == 200
        denied = await load(http, path, "extra")
        assert denied.status_code == 403
        assert denied.json()["error"]["code"] == "insufficient_scope"
        assert "'publish'" in denied.json()["error"]["message"]
        hurried = await ask(http, BASE_ID, priority=-1)
        assert hurried.status_code == 403
        assert hurried.json()["error"]["param"] == "priority"
        assert (await ask(http, BASE_ID, priority=3)).status_code == 200
        http.headers["authorization"] = f"Bearer {admin}"
        assert (await load(http, path, "extra")).status_code == 200
        assert (await unload(http, "extra")).status_code == 200
        assert (await ask(http, BASE_ID, priority=-1)).status_code == 200


async def test_loaded_adapters_are_there_after_a_restart(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    path = world.write_adapter(world.uploads, "kept", 71)
    async with running(args) as (http, _):
        assert (await load(http, path, "kept")).status_code == 200
        assert (await unload(http, "logical_reasoning")).status_code == 200
        first = await ask(http, "kept")
    shutil.rmtree(path)
    async with running(args) as (http, _):
        assert (await ask(http, "kept")).json()["choices"] == first.json()["choices"]
        assert (await ask(http, "logical_reasoning")).status_code == 404


async def test_a_shipped_adapter_that_was_unloaded_says_how_it_comes_back_and_does(
    world: World, tmp_path: Path
) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    name = "logical_reasoning"
    async with running(args) as (http, _):
        before = await ask(http, name)
        told = await unload(http, name)
        assert told.status_code == 200
        assert "`adaptrix load logical_reasoning`" in told.text
        assert (await http.get("/v1/adapters")).json()["unloaded"] == [name]
    async with running(args) as (http, _):  # unloading outlives a restart
        missing = await ask(http, name)
        assert missing.status_code == 404
        assert "was unloaded" in missing.json()["error"]["message"]
        restored = await load(http, Path(name), name)  # by its name: the shipped directory is no load root here
        assert restored.status_code == 200, restored.text
        after = await ask(http, name)
        assert after.json()["choices"] == before.json()["choices"]
        assert after.headers["x-adaptrix-digest"] == before.headers["x-adaptrix-digest"]
        assert (await http.get("/v1/adapters")).json()["unloaded"] == []
        assert (await load(http, Path(name), name)).status_code in (403, 404), "a name is a path again"
    async with running(args) as (http, _):
        assert (await ask(http, name)).status_code == 200


async def test_more_adapters_than_host_memory_all_answer_in_turn(world: World, tmp_path: Path) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path / "state")},
        router={"enabled": False},
        engine={"host_cache_bytes": 1 << 20},
    )
    async with running(args) as (http, store):
        for seed in range(8):
            path = world.write_adapter(world.uploads, f"many{seed}", 80 + seed, rank=64)
            assert (await load(http, path, f"many{seed}")).status_code == 200
        names = [f"many{seed}" for seed in range(8)] * 2
        answers = [await ask(http, name) for name in names]
        assert [answer.headers.get("x-adaptrix-adapter") for answer in answers] == names
        assert "disk" in {holding.residency for holding in store.worker.holdings.report()[0].values()}
