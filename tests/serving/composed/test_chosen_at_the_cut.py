"""A composition of several steps that a replica chooses at the cut answers as under its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.serving.composed.conftest import STRATEGIES
from tests.serving.compositions import write
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import publish
from tests.serving.inprocess import running
from tests.serving.tiny import World

QUESTION = "Translate this line of poetry into the language of whales."
SAID = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 8, "temperature": 0, "ignore_eos": True}


async def test_auto_settles_on_a_sequence(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))
    router = {"trunk": True, "embedder": None}
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router=router, engine={"cut": 1})
    card = {"description": "Poems of whales", "routing_examples": (QUESTION,)}
    made = write(world, world.shipped, "poet", STRATEGIES["steps"], tmp_path / "poet", **card)
    async with running(args) as (http, store):
        assert (await publish(http, made)).status_code == 201

        async def has_a_probe() -> bool:
            made = store.catalogue.public.find("poet")
            return made is not None and made.bundle_digest in await store.worker.at_the_cut.fitted()

        await eventually(has_a_probe)
        routed = await http.post("/v1/chat/completions", json={"model": "auto", **SAID})
        named = (await http.post("/v1/chat/completions", json={"model": "poet", **SAID})).json()
        assert routed.status_code == 200, routed.text
        assert routed.headers["x-adaptrix-adapter"] == routed.json()["model"] == "poet"
        assert float(routed.headers["x-adaptrix-route-score"]) > 0.5
        assert [one["message"] for one in routed.json()["choices"]] == [one["message"] for one in named["choices"]]
        several = await http.post("/v1/chat/completions", json={"model": "auto", **SAID, "n": 2, "temperature": 1})
        assert several.headers["x-adaptrix-adapter"] == "base"
        assert several.headers["x-adaptrix-fallback"].startswith("poet: ")
