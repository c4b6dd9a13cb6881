"""A composition that is unloaded while a call pins it is pinned or refused, at whatever moment that comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest_asyncio

from adaptrix_core.errors import AdapterNotFound
from adaptrix_core.injection.mix import Term
from deployments.replica.packages.holdings import Pinned
from tests.serving.compositions import write
from tests.serving.conftest import eventually
from tests.serving.http.test_publishing import publish
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import World

GATED = {"parallel": ["math_reasoning", "code_generation"], "combine": "gate"}
TURNS = 16
"""Turns of the event loop before the composition goes, at most: more than pinning takes without other work."""


@pytest_asyncio.fixture
async def store(world: World, tmp_path: Path) -> AsyncIterator[LocalStore]:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with running(args) as (http, store):
        published = await publish(http, write(world, world.shipped, "gated", GATED, tmp_path / "gated"))
        assert published.status_code == 201, published.text
        yield store


async def outcome(store: LocalStore, turns: int) -> Pinned | AdapterNotFound:
    """What becomes of a call that pins the composition, which goes after so many turns of the event loop."""
    holdings, catalogue = store.worker.holdings, store.catalogue
    entry = catalogue.public.find("gated")
    assert entry is not None
    without = replace(catalogue, entries=tuple(one for one in catalogue.entries if one != entry))
    async with AsyncExitStack() as stack:
        pinning = asyncio.create_task(stack.enter_async_context(holdings.pinned([(Term(entry.bundle_digest),)])))
        for _ in range(turns):
            await asyncio.sleep(0)
        await holdings.sync(without)
        try:
            found: Pinned | AdapterNotFound = await pinning
        except AdapterNotFound as error:
            found = error
        await holdings.sync(catalogue)

    async def is_back() -> bool:
        return holdings.is_at_hand(entry.bundle_digest)

    await eventually(is_back)
    return found


async def test_a_call_pins_it_or_is_told_that_it_is_gone(store: LocalStore) -> None:
    outcomes = [await outcome(store, turns) for turns in range(TURNS)]
    kinds = [type(one) for one in outcomes]
    assert set(kinds) == {Pinned, AdapterNotFound}
    assert kinds == sorted(kinds, key=lambda kind: kind is Pinned), (
        "who comes earlier is not served while a later one is not"
    )
    for one in outcomes:
        if isinstance(one, AdapterNotFound):
            assert "it was unloaded" in one.message
