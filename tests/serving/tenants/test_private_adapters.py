"""Adapters of tenants, over HTTP: made, shared, used, and unloaded by whom they belong to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from deployments.store.disk import packages_directory
from tests.serving.compositions import HALVES, write
from tests.serving.tenants.callers import Caller, Tenants, tenants_of
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tenants(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    async with tenants_of(world, tmp_path_factory.mktemp("state")) as made:
        yield made


@pytest.fixture(scope="module")
def made(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages of one name, and one of another."""
    root = tmp_path_factory.mktemp("made")
    world.write_adapter(root / "one", "poems", 61, version="1.0.0")
    world.write_adapter(root / "other", "poems", 62, version="1.0.0")
    world.write_adapter(root, "law", 63, version="1.0.0")
    return root


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


async def digest_of(caller: Caller, model: str) -> str:
    answer = await caller.chat(model)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-adaptrix-digest"]


async def test_two_tenants_have_an_adapter_of_one_name_and_version_each(tenants: Tenants, made: Path) -> None:
    published = [
        await tenants.acme.publish(made / "one" / "poems"),
        await tenants.beta.publish(made / "other" / "poems"),
    ]
    assert [answer.status_code for answer in published] == [201, 201], [answer.text for answer in published]
    digests = [answer.json()["digest"] for answer in published]
    assert digests == [await digest_of(tenants.acme, "poems"), await digest_of(tenants.beta, "poems@1.0.0")]
    assert digests[0] != digests[1]
    for stranger in (tenants.gamma, tenants.op):
        assert "poems" not in await stranger.models()
    assert error_of(await tenants.gamma.chat("poems")) == (404, "model_not_found")
    card = (await tenants.acme.adapters())["poems"]
    assert (card["visibility"], card["tenant"], card["shared_with"]) == ("private", "acme", [])
    again = await tenants.acme.publish(made / "one" / "poems")
    assert again.status_code == 200, "the same contents again"
    assert {"~acme/poems", "~beta/poems"} <= (await tenants.op.adapters()).keys()
    assert (await tenants.beta.unload("poems")).status_code == 200
    assert await digest_of(tenants.acme, "poems") == digests[0], "the other one of the name stays"
    assert error_of(await tenants.beta.chat("poems")) == (404, "model_not_found")
    assert (await tenants.op.unload("~acme/poems")).status_code == 200
    assert error_of(await tenants.acme.chat("poems")) == (404, "model_not_found")


async def test_sharing_lets_others_use_it_under_its_tenants_name_until_it_ends(tenants: Tenants, made: Path) -> None:
    acme, beta, gamma = tenants.acme, tenants.beta, tenants.gamma
    published = await acme.publish(made / "law", shared_with=["beta", "delta"])
    assert published.status_code == 201, published.text
    name = "~acme/law"
    assert text_of(await beta.chat(name)) == text_of(await acme.chat("law"))
    answer = await beta.chat(f"{name}*0.5+math_reasoning*0.5")
    assert answer.headers["x-adaptrix-adapter"] == f"{name}*0.5+math_reasoning*0.5"
    forked = await beta.chat("auto", adaptrix={"fork": [name, None]})
    assert forked.headers["x-adaptrix-adapter"] == f"{name},base"
    card = (await beta.adapters())[name]
    assert (card["visibility"], card["tenant"], card["shared_with"]) == ("shared", "acme", ["beta"]), "no word of delta"
    assert name in await beta.models()
    assert (await beta.ask("GET", f"/v1/adapters/{name}@1.0.0")).status_code == 200
    assert error_of(await gamma.chat(name)) == error_of(await beta.chat("law")) == (404, "model_not_found")
    assert error_of(await beta.unload(name)) == (403, "foreign_adapter")
    body = {"visibility": "shared", "shared_with": ["gamma"]}
    assert error_of(await beta.ask("PATCH", f"/v1/adapters/{name}", json=body)) == (403, "foreign_adapter")
    changed = await acme.ask("PATCH", "/v1/adapters/law", json=body)
    assert [card["shared_with"] for card in changed.json()["data"]] == [["gamma"]]
    assert error_of(await beta.chat(name)) == (404, "model_not_found")
    assert text_of(await gamma.chat(name)) == text_of(await acme.chat("law"))
    ended = await acme.ask("PATCH", "/v1/adapters/law", json={"visibility": "private"})
    assert ended.json()["data"][0]["visibility"] == "private"
    assert error_of(await gamma.chat(name)) == (404, "model_not_found")
    assert (await acme.unload("law@1.0.0")).status_code == 200


async def test_what_is_public_is_the_operators(tenants: Tenants, world: World, made: Path) -> None:
    acme, op = tenants.acme, tenants.op
    assert error_of(await acme.publish(made / "law", visibility="public")) == (403, "insufficient_scope")
    assert error_of(await acme.unload("math_reasoning")) == (403, "foreign_adapter")
    taken = world.write_adapter(made / "taken", "math_reasoning", 64, version="9.0.0")
    assert error_of(await acme.publish(taken)) == (409, "name_taken")
    for query in ({"visibility": "shared"}, {"visibility": "private", "shared_with": "beta"}, {"visibility": "all"}):
        assert (await acme.publish(made / "law", **query)).status_code == 400
    assert (await acme.publish(made / "law")).status_code == 201
    assert (await op.publish(made / "law")).status_code == 201, "nobody's own name is in the way of a public one"
    assert (await op.adapters())["law"]["visibility"] == "public"
    assert "law" in await tenants.gamma.models()
    assert (await acme.adapters())["law"]["tenant"] == "acme", "a name goes on to mean one's own"
    assert (await op.unload("law")).status_code == 200
    assert "law" not in await tenants.gamma.models()
    assert "law" in await acme.models()
    assert (await acme.unload("law")).status_code == 200


async def test_vllms_endpoint_loads_for_whom_the_body_says(tenants: Tenants, world: World) -> None:
    place = world.write_adapter(world.uploads, "tuned", 65)
    body = {"lora_name": "Acme/Tuned", "lora_path": str(place)}
    mine = await tenants.acme.ask("POST", "/v1/load_lora_adapter", json={**body, "shared_with": ["beta"]})
    assert mine.status_code == 200, mine.text
    ours = await tenants.root.ask("POST", "/load_lora_adapter", json={**body, "visibility": "private"})
    assert ours.json()["loaded_adapters"].keys() >= {"Acme/Tuned", "math_reasoning"}
    assert "~acme/Acme/Tuned" in await tenants.beta.models()
    assert error_of(await tenants.gamma.chat("Acme/Tuned")) == (404, "model_not_found")
    listed = await tenants.root.adapters()
    assert (listed["Acme/Tuned"]["tenant"], listed["~acme/Acme/Tuned"]["tenant"]) == ("root", "acme")
    gone = await tenants.root.ask("POST", "/unload_lora_adapter", json={"lora_name": "Acme/Tuned"})
    assert "Acme/Tuned" not in gone.json()["loaded_adapters"]
    assert (await tenants.acme.chat("Acme/Tuned")).status_code == 200, "the other tenant's stays"
    assert (await tenants.acme.unload("Acme/Tuned")).status_code == 200


async def test_a_composition_over_another_tenants_adapter_is_as_one_over_nothing(
    tenants: Tenants, world: World, tmp_path: Path
) -> None:
    shelf = tmp_path / "shelf"
    for seed, name in enumerate(HALVES["parallel"], start=71):
        world.write_adapter(shelf, name, seed, version="3.0.0")
    poem = world.write_adapter(shelf, "verse", 73)
    over = write(world, shelf, "over", {"parallel": {"verse": 1.0}}, tmp_path / "over")
    before = await tenants.beta.publish(over)
    assert error_of(before) == (422, "missing_part")
    assert (await tenants.acme.publish(poem)).status_code == 201
    assert (await tenants.beta.publish(over)).json() == before.json()
    assert (await tenants.acme.publish(over)).status_code == 201
    shared = {"visibility": "shared", "shared_with": ["beta"]}
    assert (await tenants.acme.ask("PATCH", "/v1/adapters/verse", json=shared)).status_code == 200
    assert (await tenants.beta.publish(over)).status_code == 201
    said = text_of(await tenants.beta.chat("over"))
    assert said == text_of(await tenants.acme.chat("over"))
    await tenants.acme.ask("PATCH", "/v1/adapters/verse", json={"visibility": "private"})
    assert error_of(await tenants.beta.chat("over")) == (422, "missing_part")
    assert text_of(await tenants.acme.chat("over")) == said
    for caller, name in ((tenants.beta, "over"), (tenants.acme, "over"), (tenants.acme, "verse")):
        assert (await caller.unload(name)).status_code == 200


async def test_they_are_there_again_after_a_restart(world: World, made: Path, tmp_path: Path) -> None:
    async with tenants_of(world, tmp_path / "state") as before:
        assert (await before.acme.publish(made / "law", shared_with="beta")).status_code == 201
        said = text_of(await before.acme.chat("law"))
    async with tenants_of(world, tmp_path / "state") as after:
        assert text_of(await after.acme.chat("law")) == text_of(await after.beta.chat("~acme/law")) == said
        assert error_of(await after.gamma.chat("~acme/law")) == (404, "model_not_found")
        assert (await after.acme.unload("law")).status_code == 200
        assert list(packages_directory(tmp_path / "state").iterdir()) == []
