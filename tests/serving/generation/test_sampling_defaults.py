"""The server samples as the adapter's verified metadata ask, and says so; a request always wins."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from adaptrix_core.cli.remote import adapter_row
from adaptrix_core.sampling import SamplingDefaults
from tests.serving.conftest import BASE_ID
from tests.serving.inprocess import running
from tests.serving.tiny import World

ASK = {"prompt": "one two three", "max_tokens": 12, "ignore_eos": True}


@pytest.fixture
def shipped(world: World, tmp_path: Path) -> Path:
    """``asks`` wants greedy, ``silent`` wants nothing, and nobody trusted has signed ``forged``, which wants greedy."""
    directory = tmp_path / "adapters"
    world.write_adapter(directory, "asks", 41, sampling=SamplingDefaults(temperature=0.0))
    world.write_adapter(directory, "silent", 42)
    world.write_adapter(directory, "forged", 43, signed=False, sampling=SamplingDefaults(temperature=0.0))
    return directory


async def texts(http: httpx.AsyncClient, model: str, **fields: object) -> set[str]:
    found = set()
    for _ in range(6):
        response = await http.post("/v1/completions", json={**ASK, "model": model, **fields})
        assert response.status_code == 200, response.text
        found.add(response.json()["choices"][0]["text"])
    return found


async def test_an_open_request_is_sampled_as_its_adapter_asks(world: World, shipped: Path, tmp_path: Path) -> None:
    adapters = {"dir": str(shipped), "state_dir": str(tmp_path / "state")}
    async with running(world.settings(adapters=adapters, router={"enabled": False})) as (http, _):
        greedy = await texts(http, "asks", temperature=0.0)
        assert await texts(http, "asks") == greedy
        assert await texts(http, "asks", temperature=None) == greedy, "null leaves it open too"
        assert await texts(http, "silent*0.4+asks*0.6") == await texts(http, "silent*0.4+asks*0.6", temperature=0)
        assert len(await texts(http, "asks", temperature=1.0)) > 1
        assert len(await texts(http, "silent")) > 1
        assert len(await texts(http, BASE_ID)) > 1


async def test_the_choice_is_shown_and_only_where_it_was_verified(world: World, shipped: Path, tmp_path: Path) -> None:
    adapters = {"dir": str(shipped), "state_dir": str(tmp_path / "state")}
    async with running(world.settings(adapters=adapters, router={"enabled": False})) as (http, _):
        cards = {card["id"]: card for card in (await http.get("/v1/models")).json()["data"]}
        one = (await http.get("/v1/models/asks")).json()
        rows = {entry["name"]: adapter_row(entry) for entry in (await http.get("/v1/adapters")).json()["data"]}
    assert cards["asks"]["sampling"]["temperature"] == {"value": 0.0, "from": "adapter"}
    assert cards["asks"]["sampling"]["top_k"] == {"value": 0, "from": "default"}
    assert cards["silent"]["sampling"]["temperature"] == {"value": 1.0, "from": "default"}
    assert cards[BASE_ID]["sampling"]["temperature"] == {"value": 1.0, "from": "default"}
    assert one == cards["asks"]
    assert rows["asks"].sampling == cards["asks"]["sampling"]
    assert cards["forged"]["sampling"] is None
    assert rows["forged"].sampling is None
