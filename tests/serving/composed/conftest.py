"""A server that has a composition with a name for every strategy, over the adapters that it ships."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.compositions import write
from tests.serving.conftest import BASE_ID
from tests.serving.http.test_publishing import publish
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

COMMON: dict[str, Any] = {"max_tokens": 12, "temperature": 1, "seed": 7, "ignore_eos": True}
QUESTION = "What is 2 + 3? Then add 5 to the result."
STRATEGIES: dict[str, dict[str, Any]] = {
    "steps": {"sequential": ["math_reasoning", "code_generation"], "plan": ["What is 2 + 3?", "Write {0} as code."]},
    "passed": {
        "sequential": [
            None,
            "math_reasoning",
            {"hierarchical": [{"adapter": "math_reasoning", "layers": "late"}]},
        ]
    },
    "planned": {"sequential": ["math_reasoning", "code_generation"], "plan": "auto"},
    "votes": {"parallel": {"math_reasoning": 1, "code_generation": 2}, "combine": "vote", "samples": 2},
    "both": {"parallel": {"math_reasoning": 3, "code_generation": 1}, "combine": "logits"},
    "switches": {
        "conditional": [{"if": {"confidence_below": 0.9, "over": 2}, "then": "code_generation"}],
        "else": "math_reasoning",
    },
    "inner": {
        "sequential": [
            {"parallel": {"math_reasoning": 1, "code_generation": 2}, "combine": "vote"},
            {"conditional": [{"if": {"marker": "e"}, "then": None}], "else": "math_reasoning"},
            {"parallel": ["math_reasoning", {"part": "code_generation", "weight": 0.5}], "combine": "logits"},
        ]
    },
}


@dataclass(frozen=True)
class Composed:
    """The server, and what the catalogue of its adapters lies in."""

    http: httpx.AsyncClient
    store: LocalStore
    shipped: Path
    digests: dict[str, str]
    """Package digests of the compositions, by name."""

    async def ask(self, model: str = BASE_ID, path: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
        """A chat or a completion with `QUESTION`."""
        prompt: dict[str, Any] = {"messages": [{"role": "user", "content": QUESTION}]}
        if path == "/v1/completions":
            prompt = {"prompt": QUESTION}
        return await self.http.post(path, json={"model": model, **prompt, **COMMON, **fields})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def composed(world: World, embedder: TextEmbedder, tmp_path_factory: Any) -> AsyncIterator[Composed]:
    root = tmp_path_factory.mktemp("composed")
    shutil.copytree(world.shipped, root / "shipped")
    adapters = {"dir": str(root / "shipped"), "state_dir": str(root / "state"), "poll_s": 0.1}
    async with running(world.settings(adapters=adapters), embedder) as (http, store):
        digests = {}
        for name, composition in STRATEGIES.items():
            published = await publish(http, write(world, root / "shipped", name, composition, root / name))
            assert published.status_code == 201, published.text
            digests[name] = published.json()["digest"]
        yield Composed(http, store, root / "shipped", digests)
