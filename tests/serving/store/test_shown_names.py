"""Adapters loaded under names with capitals and slashes, and in the place of others: shown as sent, owned as ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import LocalStore, running
from tests.serving.store.test_handed_in_bundles import publish
from tests.serving.tiny import World

NAME = "Org/My-Adapter.v1"
INSIDE = "org--my-adapter.v1"
ASK = {"prompt": "What is seventeen plus twenty five?", "max_tokens": 6, "temperature": 0, "ignore_eos": True}

Server = tuple[httpx.AsyncClient, LocalStore]


def args(world: World, tmp_path: Path, **adapters: object) -> dict[str, object]:
    state = {"state_dir": str(tmp_path / "state"), "poll_s": 0.1, **adapters}
    return world.settings(
        adapters=state, router={"enabled": False}, security={"load_roots": [str(tmp_path), str(world.uploads)]}
    )


@pytest_asyncio.fixture
async def server(world: World, tmp_path: Path) -> AsyncIterator[Server]:
    async with running(args(world, tmp_path)) as started:
        yield started


@pytest.fixture
def package(world: World, tmp_path: Path) -> Path:
    return world.write_adapter(tmp_path, "mine", 91)


async def load(http: httpx.AsyncClient, name: str, path: Path | str, **fields: object) -> httpx.Response:
    return await http.post("/v1/load_lora_adapter", json={"lora_name": name, "lora_path": str(path), **fields})


async def loaded(http: httpx.AsyncClient, name: str, path: Path | str, **fields: object) -> str:
    answer = await load(http, name, path, **fields)
    assert answer.status_code == 200, answer.text
    return answer.text


async def ask(http: httpx.AsyncClient, model: str, **fields: object) -> httpx.Response:
    return await http.post("/v1/completions", json={"model": model, **ASK, **fields})


async def said(http: httpx.AsyncClient, model: str, **fields: object) -> list[str]:
    answer = await ask(http, model, **fields)
    assert answer.status_code == 200, answer.text
    return [choice["text"] for choice in answer.json()["choices"]]


def conflict(answer: httpx.Response, code: str) -> str:
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, code), answer.text
    message: str = answer.json()["error"]["message"]
    return message


async def test_a_name_is_shown_and_accepted_as_it_was_sent(server: Server, package: Path) -> None:
    http, _ = server
    assert await loaded(http, NAME, package) == f"Success: LoRA adapter '{NAME}' added successfully."
    await loaded(http, "plain", package)
    plain, base = await said(http, "plain"), await said(http, BASE_ID)
    assert plain != base
    for model in (NAME, f"{NAME}@1.0.0", f"{NAME}@latest", f"{BASE_ID}:{NAME}", f"{NAME}*1.0", f"{NAME}[1,2]"):
        assert await said(http, model) == plain, model
    mixed = await said(http, "plain*0.5[1]+math_reasoning*0.5")
    assert await said(http, f"{NAME}*0.5[1]+math_reasoning*0.5") == mixed
    assert await said(http, f"math_reasoning*0.5+{NAME}*0.5[1]") == mixed
    assert await said(http, BASE_ID, adaptrix={"mix": {NAME: 0.5}}) == await said(http, "plain*0.5")
    assert await said(http, BASE_ID, adaptrix={"fork": [None, NAME]}) == [*base, *plain]
    answer = await ask(http, f"{NAME}*0.5+math_reasoning*0.5")
    assert answer.headers["x-adaptrix-adapter"] == answer.json()["model"] == f"{NAME}*0.5+math_reasoning*0.5"


async def test_listings_show_it_and_where_it_is_from(server: Server, package: Path) -> None:
    http, _ = server
    await loaded(http, NAME, package.name)  # a path below a root
    models = {model["id"]: model for model in (await http.get("/v1/models")).json()["data"]}
    assert models[NAME]["root"] == package.name
    assert models[NAME]["parent"] == BASE_ID
    assert models["math_reasoning"]["root"] == "math_reasoning@1.0.0"
    assert INSIDE not in models
    for written in (NAME, quote(NAME, safe=""), f"{NAME}@1.0.0"):
        model = (await http.get(f"/v1/models/{written}")).json()
        assert (model["id"], model["root"]) == (written.replace("%2F", "/"), package.name)
        adapter = (await http.get(f"/v1/adapters/{written}")).json()
        assert (adapter["name"], adapter["alias_of"]) == (NAME, "mine@1.0.0")
    answer = await ask(http, NAME)
    assert answer.status_code == 200
    metrics = (await http.get("/metrics")).text
    assert f'adaptrix_answers_total{{adapter="{NAME}"}} 1.0' in metrics


async def test_it_is_there_after_a_restart_and_leaves_by_its_name(world: World, tmp_path: Path, package: Path) -> None:
    async with running(args(world, tmp_path)) as (http, _):
        await loaded(http, NAME, package)
        before = await said(http, NAME)
    async with running(args(world, tmp_path)) as (http, _):
        assert await said(http, NAME) == before
        assert (await http.get(f"/v1/models/{NAME}")).json()["root"] == str(package)
        gone = await http.post("/v1/unload_lora_adapter", json={"lora_name": NAME})
        assert (gone.status_code, gone.text) == (200, f"Success: LoRA adapter '{NAME}' removed successfully.")
        assert (await ask(http, NAME)).status_code == 404
        await loaded(http, NAME, package)
    async with running(args(world, tmp_path)) as (http, _):
        listed = [a["name"] for a in (await http.get("/v1/adapters")).json()["data"]]
        assert listed.count(NAME) == 1


async def test_a_misspelled_name_has_the_nearest_one(server: Server, package: Path) -> None:
    http, _ = server
    await loaded(http, NAME, package)
    for model in (NAME.lower(), NAME.replace("Org", "org")):
        answer = await ask(http, model)
        assert answer.status_code == 404
        assert f"did you mean '{NAME}'" in answer.json()["error"]["message"]


@pytest.mark.parametrize("other", ["org/My-Adapter.v1", "Org/My-adapter.v1", "Org--My-Adapter.v1", INSIDE])
async def test_two_names_that_come_to_the_same_are_refused(
    server: Server, world: World, package: Path, other: str
) -> None:
    http, store = server
    await loaded(http, NAME, package)
    for path in (package, world.write_adapter(world.uploads / "others", "others", 90)):
        message = conflict(await load(http, other, path, load_inplace=False), "name_taken")
        assert repr(NAME) in message or INSIDE in message
    assert (await ask(http, other)).status_code == (200 if other == INSIDE else 404)
    assert [entry.public_name for entry in store.catalogue.entries if not entry.shipped] == [NAME]


@pytest.mark.parametrize("name", ["Math_Reasoning", "MATH_REASONING"])
async def test_a_packages_name_in_other_letters_is_not_free(
    server: Server, world: World, package: Path, name: str
) -> None:
    http, store = server

    async def is_owned() -> bool:
        return bool(store.actor._names.owners("math_reasoning"))

    await eventually(is_owned)
    for path in (package, world.write_adapter(world.uploads / "same", "math_reasoning", 1)):
        assert name in conflict(await load(http, name, path), "name_taken")
    assert (await ask(http, "math_reasoning")).headers["x-adaptrix-adapter"] == "math_reasoning"


async def test_a_package_takes_its_own_name_whatever_stands_for_it(server: Server, world: World, package: Path) -> None:
    http, _ = server
    await loaded(http, NAME, package)
    theirs = world.write_adapter(world.uploads / "theirs", INSIDE, 92)
    message = conflict(await publish(http, theirs), "name_taken")
    assert "at present another name for 'mine'" in message
    assert (await http.post("/v1/unload_lora_adapter", json={"lora_name": NAME})).status_code == 200
    assert (await publish(http, theirs)).status_code == 201
    assert "(" in conflict(await load(http, NAME, package), "name_taken")
    assert (await ask(http, INSIDE)).status_code == 200


async def test_the_router_speaks_of_it_as_it_is_shown(world: World, tmp_path: Path, embedder: TextEmbedder) -> None:
    empty = tmp_path / "none"
    empty.mkdir()
    path = world.write_adapter(
        tmp_path, "sums", 93, description="Sums", routing_examples=("What is 17 + 25?", "What is 3 + 4?")
    )
    settings = {**args(world, tmp_path, dir=str(empty)), "router": {"enabled": True}}
    async with running(settings, embedder) as (http, _):
        await loaded(http, NAME, path)
        messages = [{"role": "user", "content": "What is 17 + 26?"}]
        assert (await http.post("/v1/route", json={"messages": messages})).json()["adapter"] == NAME
        routed = await ask(http, "auto", prompt="What is 17 + 26?")
        assert routed.headers["x-adaptrix-adapter"] == NAME


# --- in the place of another ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mine", "other", NAME])
async def test_an_adapter_takes_the_place_of_what_was_loaded(
    server: Server, world: World, tmp_path: Path, package: Path, name: str
) -> None:
    http, store = server
    later = world.write_adapter(tmp_path / "later", "mine", 94)
    await loaded(http, name, package)
    before, digest = await said(http, name), (await ask(http, name)).headers["x-adaptrix-digest"]
    again = await load(http, name, later)
    assert (again.status_code, again.json()["error"]["code"]) == (400, "adapter_exists")
    assert "load_inplace" in again.json()["error"]["message"]
    await loaded(http, name, later, load_inplace=True)
    after = await ask(http, name)
    assert after.json()["choices"][0]["text"] != before[0]
    assert after.headers["x-adaptrix-digest"] != digest
    assert (await http.get(f"/v1/models/{name}")).json()["root"] == str(later)
    assert [entry.public_name for entry in store.catalogue.entries if not entry.shipped] == [name]
    await loaded(http, name, later, load_inplace=True)  # the same once more
    await loaded(http, name, package, load_inplace=True)  # and back
    assert await said(http, name) == before


async def test_nobody_sees_the_name_missing_and_answers_under_way_end_as_they_began(
    server: Server, world: World, tmp_path: Path, package: Path
) -> None:
    http, store = server
    later = world.write_adapter(tmp_path / "later", "mine", 94)
    await loaded(http, "mine", package)
    long = {"max_tokens": 300}
    wanted = await said(http, "mine", **long)
    under_way = asyncio.create_task(said(http, "mine", **long))

    async def started() -> bool:
        return (await store.worker.report("r", "")).stats["rows_running"] > 0

    await eventually(started)
    done = asyncio.Event()
    statuses: set[int] = set()

    async def keep_asking() -> None:
        while not done.is_set():
            statuses.add((await ask(http, "mine", max_tokens=1)).status_code)

    asking = asyncio.create_task(keep_asking())
    await loaded(http, "mine", later, load_inplace=True)
    done.set()
    await asking
    assert statuses == {200}
    assert await under_way == wanted
    assert (await said(http, "mine", **long)) != wanted


async def test_what_is_refused_leaves_what_was_there(
    server: Server, world: World, tmp_path: Path, package: Path
) -> None:
    http, store = server
    unsigned = world.write_adapter(tmp_path / "unsigned", "mine", 95, signed=False)
    await loaded(http, "mine", package)
    before = await said(http, "mine")
    answer = await load(http, "mine", unsigned, load_inplace=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "signature_missing")
    assert await said(http, "mine") == before
    assert len([entry for entry in store.catalogue.entries if not entry.shipped]) == 1


async def test_versions_under_the_name_leave_together_and_none_becomes_older_unasked(
    server: Server, world: World, tmp_path: Path
) -> None:
    http, store = server
    paths = {v: world.write_adapter(tmp_path / v, "mine", 96, version=v) for v in ("1.0.0", "1.1.0", "2.0.0")}
    await loaded(http, "mine", paths["1.0.0"])
    await loaded(http, "mine", paths["1.1.0"])
    await loaded(http, "mine", paths["2.0.0"], load_inplace=True)
    assert [e.identity for e in store.catalogue.entries if not e.shipped] == ["mine@2.0.0"]
    conflict(await load(http, "mine", paths["1.0.0"], load_inplace=True), "downgrade")
    assert [e.identity for e in store.catalogue.entries if not e.shipped] == ["mine@2.0.0"]
    await loaded(http, "mine", paths["1.0.0"], load_inplace=True, allow_downgrade=True)
    assert [e.identity for e in store.catalogue.entries if not e.shipped] == ["mine@1.0.0"]


async def test_a_shipped_adapter_keeps_its_place(server: Server, world: World, tmp_path: Path) -> None:
    http, _ = server
    same = world.write_adapter(tmp_path / "same", "math_reasoning", 97, version="1.0.0")
    older = world.write_adapter(tmp_path / "older", "math_reasoning", 97, version="0.9.0")
    newer = world.write_adapter(tmp_path / "newer", "math_reasoning", 97, version="1.2.0")
    before = await said(http, "math_reasoning")
    answer = await load(http, "math_reasoning", same, load_inplace=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "adapter_exists")
    assert "shipped version 1.0.0" in conflict(
        await load(http, "math_reasoning", older, load_inplace=True), "downgrade"
    )
    assert await said(http, "math_reasoning") == before
    await loaded(http, "math_reasoning", newer, load_inplace=True)
    assert await said(http, "math_reasoning") != before


async def test_a_directory_that_was_changed_is_read_again(world: World, tmp_path: Path, package: Path) -> None:
    """As in training: the same path is written again and loaded again, over a restart too."""
    async with running(args(world, tmp_path)) as (http, _):
        await loaded(http, NAME, package)
        before = await said(http, NAME)
        world.write_adapter(tmp_path / "next", "mine", 98)
        for file in (tmp_path / "next" / "mine").iterdir():
            file.replace(package / file.name)
        await loaded(http, NAME, package, load_inplace=True)
        after = await said(http, NAME)
        assert after != before
    async with running(args(world, tmp_path)) as (http, _):
        assert await said(http, NAME) == after
    index: dict[str, Any] = json.loads((tmp_path / "state" / "catalogue" / "index.json").read_text())
    assert [(item["name"], item["place"]) for item in index["loaded"]] == [(NAME, str(package))]


# --- SGLang's paths ---------------------------------------------------------------------------------------------------


async def test_sglangs_clients_are_told_what_is_served_now(server: Server, package: Path) -> None:
    http, _ = server
    body = {"lora_name": NAME, "lora_path": str(package), "pinned": True}
    answer = (await http.post("/load_lora_adapter", json=body)).json()
    assert (answer["success"], answer["error_message"]) == (True, "")
    assert answer["loaded_adapters"][NAME] == str(package)
    assert answer["loaded_adapters"]["math_reasoning"] == "math_reasoning@1.0.0"
    refused = await http.post("/load_lora_adapter", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "adapter_exists")
    answer = (await http.post("/unload_lora_adapter", json={"lora_name": NAME})).json()
    assert answer["success"]
    assert NAME not in answer["loaded_adapters"]
    assert (await http.post("/unload_lora_adapter", json={"lora_name": NAME})).status_code == 404
