"""A composition of several steps is held to its signature: its manifest, and all of its parts, in mid-answer too."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from adaptrix_core.adapters.trust.revocation import RevocationList
from adaptrix_core.composition.manifests.signed_step import SignedStep, canonical
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterNotFound, AdapterRejected
from adaptrix_core.injection.mix import Term
from deployments.shared.wire import GenerateCall
from tests.serving.compositions import HALVES, write
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import publish
from tests.serving.inprocess import LocalStore, application, listening
from tests.serving.store.test_composition_trust import rewrite
from tests.serving.store.test_revocation import package_of, revoke
from tests.serving.tiny import World

STEPS: dict[str, Any] = {"sequential": ["math_reasoning", "halves", "code_generation"]}
LONG = {"max_tokens": 1200, "ignore_eos": True}


@dataclass(frozen=True)
class Served:
    """A server with the composition ``steps``, whose second part is the composition ``halves``."""

    world: World
    http: httpx.AsyncClient
    store: LocalStore
    shipped: Path

    def body(self, model: str = "steps", **fields: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": "What is 17 + 25?"}]
        return {"model": model, "messages": messages, "max_tokens": 4, "temperature": 0, **fields}

    async def ask(self, model: str = "steps", **fields: Any) -> httpx.Response:
        return await self.http.post("/v1/chat/completions", json=self.body(model, **fields))

    async def forgot(self, name: str) -> bool:
        """Whether the replica holds a composition of this name no longer."""
        held = self.store.worker.holdings._compositions
        return all(held[bundle].name != name for bundle in held)

    async def refused(self, code: str, model: str = "steps") -> dict[str, Any]:
        """The error of a request, once it has this code."""
        seen: list[dict[str, Any]] = []

        async def is_it() -> bool:
            answer = await self.ask(model)
            seen.append(answer.json().get("error", {}))
            return seen[-1].get("code") == code

        await eventually(is_it)
        return seen[-1]


@pytest_asyncio.fixture
async def served(world: World, tmp_path: Path) -> AsyncIterator[Served]:
    shipped = tmp_path / "shipped"
    shutil.copytree(world.shipped, shipped)
    write(world, shipped, "halves", HALVES)
    write(world, shipped, "steps", STEPS)
    adapters = {"dir": str(shipped), "state_dir": str(tmp_path / "state"), "poll_s": 0.1}
    args = world.settings(adapters=adapters, router={"enabled": False})
    async with (
        application(args) as (app, store),
        listening(app) as url,
        httpx.AsyncClient(base_url=url, timeout=120) as http,
    ):
        yield Served(world, http, store, shipped)


@pytest.mark.parametrize("revoked", ["steps", "halves", "code_generation"])
async def test_whatever_is_revoked_ends_the_answer_in_its_first_step(served: Served, revoked: str) -> None:
    assert (await served.ask()).status_code == 200
    package = package_of(served.store, revoked)
    streamed = asyncio.create_task(served.ask(**LONG, stream=True))
    whole = asyncio.create_task(served.ask(**LONG))

    async def both_run() -> bool:
        return (await served.store.worker.report("r", "")).stats["rows_running"] >= 2

    await eventually(both_run)
    assert (await revoke(served.http, served.world, RevocationList(1, {package: "they collude"}))).status_code == 200
    ended = await whole
    assert (ended.status_code, ended.json()["error"]["code"]) == (422, "adapter_revoked")
    assert "they collude" in ended.json()["error"]["message"]
    events = [json.loads(line[6:]) for line in (await streamed).text.splitlines() if line.startswith("data: {")]
    assert events[-1]["error"]["code"] == "adapter_revoked"
    steps = {c["adaptrix"]["step"] for e in events[:-1] for c in e["choices"] if "step" in c.get("adaptrix", {})}
    assert steps == {0}
    assert (await served.ask()).json()["error"]["code"] == "adapter_revoked"
    assert (await served.ask("math_reasoning")).status_code == 200
    assert served.store.worker._engine.check_integrity() == []


async def test_one_that_is_unloaded_ends_its_answer_at_the_next_step(served: Served) -> None:
    body = served.body(stream=True, max_tokens=300, ignore_eos=True)
    async with served.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = (json.loads(line[6:]) async for line in answer.aiter_lines() if line.startswith("data: {"))
        await anext(lines)
        unloaded = await served.http.post("/v1/unload_lora_adapter", json={"lora_name": "steps"})
        assert unloaded.status_code == 200, unloaded.text
        await eventually(lambda: served.forgot("steps"))
        *said, last = [line async for line in lines]
    assert last["error"]["code"] == "adapter_not_found"
    steps = {one["adaptrix"]["step"] for event in said for one in event["choices"] if "adaptrix" in one}
    assert steps == {0}
    assert (await served.ask()).json()["error"]["code"] == "model_not_found"
    assert (await served.ask("math_reasoning")).status_code == 200
    assert served.store.worker._engine.check_integrity() == []


async def test_a_part_of_the_last_step_that_is_swapped_is_refused_before_the_first(served: Served) -> None:
    signed = package_of(served.store, "code_generation")
    shutil.rmtree(served.shipped / "code_generation")
    served.world.write_adapter(served.shipped.parent, "code_generation", seed=77, version="1.0.0")
    shutil.move(served.shipped.parent / "code_generation", served.shipped / "code_generation")

    def is_swapped() -> bool:
        entry = served.store.catalogue.public.find("code_generation")
        return entry is not None and entry.package_digest != signed

    await eventually(is_swapped)
    error = await served.refused("changed_part")
    assert signed in error["message"]
    assert package_of(served.store, "code_generation") in error["message"]
    card = (await served.http.get("/v1/adapters/steps")).json()
    assert {why["code"] for why in card["refused"].values()} == {"changed_part"}


async def test_without_a_part_it_is_refused_and_with_it_again_it_answers(served: Served) -> None:
    unloaded = await served.http.post("/v1/unload_lora_adapter", json={"lora_name": "code_generation"})
    assert unloaded.status_code == 200, unloaded.text
    error = await served.refused("missing_part")
    assert "code_generation@1.0.0" in error["message"]
    assert (await served.ask(adaptrix={"fallback": "base"})).headers["x-adaptrix-adapter"] == "base"
    again = {"lora_name": "code_generation", "lora_path": "code_generation"}
    assert (await served.http.post("/v1/load_lora_adapter", json=again)).status_code == 200

    async def answers() -> bool:
        return (await served.ask()).status_code == 200

    await eventually(answers)


async def test_a_replica_computes_no_step_but_the_signed_ones(served: Served) -> None:
    entry = served.store.catalogue.public.find("steps")
    assert entry is not None
    told = canonical({"sequential": ["math_reasoning"]})
    for step, error in (
        (SignedStep(entry.bundle_digest, told), AdapterRejected),
        (SignedStep(BundleDigest("0" * 64), entry.composition), AdapterNotFound),
    ):
        sampling = {"max_tokens": 2, "seed": 1}
        call = GenerateCall("call", "2 + 3", ((Term(step.bundle),),), sampling, signed=step, salt=b"")
        with pytest.raises(error):
            await anext(served.store.worker.generate(call))


async def test_a_manifest_that_comes_round_to_itself_is_refused_with_the_way_round(
    served: Served, tmp_path: Path
) -> None:
    inner = {"parallel": {"halves": 0.5, "logical_reasoning": 0.5}}
    outer = write(served.world, served.shipped, "outer", inner, tmp_path / "outer")
    assert (await publish(served.http, outer)).status_code == 201
    beside = tmp_path / "beside"
    shutil.copytree(served.shipped, beside)
    shutil.copytree(outer, beside / "outer")
    loop = write(served.world, beside, "loop", {"sequential": ["outer", "math_reasoning"]}, tmp_path / "loop")
    rewrite(loop, served.world, name="halves")
    shutil.rmtree(served.shipped / "halves")
    shutil.move(loop, served.shipped / "halves")
    error = await served.refused("cyclic_composition", "halves")
    assert "halves@1.0.0 -> outer@1.0.0 -> halves@1.0.0" in error["message"]
