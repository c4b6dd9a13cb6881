"""Loads overlap with compute: while an adapter is being read and verified, running rows go on getting tokens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem

from adaptrix_core.engine import Engine, EngineLoop
from tests.engine.conftest import MakeEngine
from tests.engine.driving import request
from tests.tiny_models import random_base, random_prompts, random_weights

PROMPT = random_prompts([7])[0]
ENDLESS = 4000
STEPS = 25
DEADLINE_S = 60


class SlowStore(LocalFileSystem):
    """Files of a store that answers an open only when it is told to."""

    protocol = "slow"
    asked = threading.Event()
    answer = threading.Event()

    def _open(self, path: str, *arguments: Any, **options: Any) -> Any:
        self.asked.set()
        assert self.answer.wait(DEADLINE_S)
        return super()._open(path, *arguments, **options)


@pytest.fixture
def store() -> Iterator[type[SlowStore]]:
    fsspec.register_implementation(SlowStore.protocol, SlowStore, clobber=True)
    SlowStore.asked.clear()
    SlowStore.answer.clear()
    yield SlowStore
    SlowStore.answer.set()


@pytest.fixture
def loop(make_engine: MakeEngine) -> Iterator[EngineLoop]:
    base = random_base(max_position_embeddings=ENDLESS + 100)
    running = EngineLoop(make_engine(base=base, kv_cache_tokens=2 * ENDLESS, block_size=16))
    running.start()
    yield running
    running.stop()


@pytest.mark.parametrize("how", ["load_adapter", "resolve_mix"])
async def test_rows_get_tokens_while_an_adapter_is_being_loaded(
    loop: EngineLoop, store: type[SlowStore], save_adapter: Callable[..., Path], how: str
) -> None:
    base = loop.engine.base
    package = save_adapter(base, "cold", random_weights(base, seed=9))
    red = await loop.resolve_mix("red")
    stream = loop.generate(request("running", PROMPT, red, max_tokens=ENDLESS))
    await anext(stream)

    loading = asyncio.create_task(getattr(loop, how)(f"slow://{package}"))
    assert await asyncio.to_thread(store.asked.wait, DEADLINE_S)
    steps = loop.engine.num_steps
    for _ in range(STEPS):
        await asyncio.wait_for(anext(stream), DEADLINE_S)
    assert loop.engine.num_steps > steps
    assert not loading.done()

    store.answer.set()
    await loading
    cold = await loop.resolve_mix("cold")
    events = [event async for event in loop.generate(request("new", PROMPT, cold))]
    assert events[-1].finish_reason == "length"
    assert (await asyncio.wait_for(anext(stream), DEADLINE_S)).finish_reason is None
    await stream.aclose()
    assert await loop.call(Engine.check_integrity) == []
