"""A composition on a server is an adapter: published, listed, asked by name, routed to, metered, unloaded, kept."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.compositions import HALVES, write
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import publish
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

Server = tuple[httpx.AsyncClient, LocalStore]
QUESTION = "Translate this line of poetry into the language of whales."


@pytest.fixture
def shipped(world: World, tmp_path: Path) -> Path:
    directory = tmp_path / "shipped"
    shutil.copytree(world.shipped, directory)
    return directory


@pytest.fixture
def args(world: World, tmp_path: Path, shipped: Path) -> dict[str, object]:
    adapters = {"dir": str(shipped), "state_dir": str(tmp_path / "state"), "poll_s": 0.1}
    return world.settings(adapters=adapters)


@pytest_asyncio.fixture
async def server(args: dict[str, object], embedder: TextEmbedder) -> AsyncIterator[Server]:
    async with running(args, embedder) as started:
        yield started


@pytest.fixture
def mix(world: World, shipped: Path, tmp_path: Path) -> Path:
    """A composition of two shipped adapters, signed, in a directory of its own."""
    made = write(world, shipped, "mix", HALVES, description="Poems of whales", routing_examples=(QUESTION,))
    return Path(shutil.move(made, tmp_path / "mix"))


async def ask(http: httpx.AsyncClient, model: str, **fields: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 6, "temperature": 0}
    return await http.post("/v1/chat/completions", json={**body, **fields})


async def logprobs(http: httpx.AsyncClient, model: str) -> list[float]:
    answer = await ask(http, model, logprobs=True)
    assert answer.status_code == 200, answer.text
    return [token["logprob"] for token in answer.json()["choices"][0]["logprobs"]["content"]]


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_published_composition_is_listed_asked_and_told(server: Server, mix: Path) -> None:
    http, store = server
    published = await publish(http, mix)
    assert published.status_code == 201, published.text
    digest = published.json()["digest"]
    by_hand = await logprobs(http, "math_reasoning*0.5+code_generation*0.5")
    assert await logprobs(http, "mix") == pytest.approx(by_hand, abs=1e-5)
    answer = await ask(http, "mix@1.0.0")
    assert answer.headers["x-adaptrix-adapter"] == "mix"
    assert answer.headers["x-adaptrix-digest"] == digest
    assert answer.json()["model"] == "mix"
    told = answer.json()["choices"][0]["adaptrix"]
    parts = {f"{name}@1.0.0": store.catalogue.public.find(name).package_digest for name in HALVES["parallel"]}  # type: ignore[union-attr]
    assert told == {"adapter": "mix", "digest": digest, "parts": parts}
    models = {card["id"]: card for card in (await http.get("/v1/models")).json()["data"]}
    assert (models["mix"]["root"], models["mix"]["parent"]) == ("mix@1.0.0", models["math_reasoning"]["parent"])
    card = (await http.get("/v1/adapters/mix")).json()
    assert card["parts"] == [{"name": name, "package_digest": package} for name, package in parts.items()]
    assert card["metadata"]["composition"] == HALVES
    assert (card["signer"], card["weights_digest"]) == ("tests", None)
    assert card["residency"]["replica-1"] in ("host", "device")


async def test_its_card_tells_the_conflicts_that_were_measured_before_it_was_signed(
    server: Server, world: World, shipped: Path, tmp_path: Path
) -> None:
    http, _ = server
    conflicts = {
        "score": 0.45,
        "lost": {"math_reasoning@1.0.0": 0.7, "code_generation@1.0.0": 0.2},
        "prompts": 9,
        "max_tokens": 48,
        "base_digest": "f" * 64,
        "layout": "fp32",
        "limit": 0.5,
        "before": {"math_reasoning": 1.0, "code_generation": 0.5},
    }
    measured = write(world, shipped, "measured", HALVES, tmp_path / "measured", conflicts=conflicts)
    assert (await publish(http, measured)).status_code == 201
    assert (await http.get("/v1/adapters/measured")).json()["metadata"]["conflicts"] == conflicts
    plain = write(world, shipped, "plain", HALVES, tmp_path / "plain")
    assert (await publish(http, plain)).status_code == 201
    assert (await http.get("/v1/adapters/plain")).json()["metadata"]["conflicts"] is None


async def test_it_takes_part_in_mixes_and_forks_as_an_adapter_does(server: Server, mix: Path) -> None:
    http, _ = server
    await publish(http, mix)
    by_hand = await logprobs(http, "math_reasoning*0.25+code_generation*0.25+logical_reasoning*0.5")
    assert await logprobs(http, "mix*0.5+logical_reasoning*0.5") == pytest.approx(by_hand, abs=1e-5)
    by_hand = await logprobs(http, "math_reasoning*1.5+code_generation*0.5")
    assert await logprobs(http, "mix+math_reasoning") == pytest.approx(by_hand, abs=1e-5)
    forked = (await ask(http, "tiny-llama", adaptrix={"fork": ["mix", "math_reasoning", None]})).json()
    assert [choice["adaptrix"]["adapter"] for choice in forked["choices"]] == ["mix", "math_reasoning", "base"]
    assert [("parts" in choice["adaptrix"]) for choice in forked["choices"]] == [True, False, False]


async def test_the_router_chooses_it_by_its_card_and_metrics_have_its_name(server: Server, mix: Path) -> None:
    http, _ = server
    await publish(http, mix)
    routed = await ask(http, "auto")
    assert routed.headers["x-adaptrix-adapter"] == "mix", routed.text
    metrics = (await http.get("/metrics")).text
    assert 'adapter="mix"' in metrics


async def test_restarts_keep_it_and_unloading_forgets_it(
    args: dict[str, object], mix: Path, embedder: TextEmbedder
) -> None:
    async with running(args, embedder) as (http, _):
        await publish(http, mix)
        before = await logprobs(http, "mix")
    async with running(args, embedder) as (http, _):
        assert await logprobs(http, "mix") == before
        unloaded = await http.post("/v1/unload_lora_adapter", json={"lora_name": "mix"})
        assert unloaded.status_code == 200, unloaded.text
        assert error_of(await ask(http, "mix")) == (404, "model_not_found")
        assert (await ask(http, "math_reasoning")).status_code == 200


async def test_the_shipped_directory_may_hold_compositions(server: Server, mix: Path, shipped: Path) -> None:
    http, _ = server
    shutil.move(mix, shipped / "mix")

    async def answers() -> bool:
        return (await ask(http, "mix")).status_code == 200

    await eventually(answers)


async def test_nested_compositions_are_served(server: Server, world: World, mix: Path, shipped: Path) -> None:
    http, _ = server
    await publish(http, mix)
    shutil.copytree(mix, shipped / "mix")
    outer = write(world, shipped, "outer", {"parallel": {"mix": 0.5, "logical_reasoning": 0.5}})
    published = await publish(http, outer)
    assert published.status_code == 201, published.text
    by_hand = await logprobs(http, "math_reasoning*0.25+code_generation*0.25+logical_reasoning*0.5")
    assert await logprobs(http, "outer") == pytest.approx(by_hand, abs=1e-5)
