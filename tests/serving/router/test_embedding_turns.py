"""Texts of many tenants before one embedding model: in turns, and nobody's fate is another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from deployments.router.embedding_turns import BATCH, EmbeddingTurns, Texts

FEW, MANY = b"few", b"many"


class Model:
    """Embeds a text as its length, a batch at a time, each when it is let; remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[Texts]] = []
        self.may_go_on = threading.Semaphore(0)

    def embed(self, groups: list[Texts]) -> Sequence[Any]:
        self.batches.append(groups)
        assert self.may_go_on.acquire(timeout=60)
        if any("fail" in texts for texts, _ in groups):
            raise RuntimeError("out of memory")
        return [np.array([[len(text)] for text in texts], np.float32) for texts, _ in groups]


async def begun(model: Model, batches: int) -> None:
    async with asyncio.timeout(60):
        while len(model.batches) < batches:
            await asyncio.sleep(0)


async def test_a_tenant_that_sends_a_thousand_makes_itself_wait() -> None:
    model = Model()
    turns = EmbeddingTurns(model.embed)
    flood = [asyncio.create_task(turns.rows([f"{n}"], MANY)) for n in range(1000)]
    await begun(model, 1)
    other = asyncio.create_task(turns.rows(["hello"], FEW))
    await asyncio.sleep(0)
    for _ in range(2):
        model.may_go_on.release()
    assert (await other).tolist() == [[5]]
    assert (["hello"], FEW) in model.batches[1]
    assert len(model.batches[1]) == BATCH
    model.may_go_on.release(1000)
    assert [rows.tolist() for rows in await asyncio.gather(*flood)] == [[[len(f"{n}")]] for n in range(1000)]


async def test_a_batch_that_fails_is_the_error_of_its_own_requests_alone() -> None:
    model = Model()
    model.may_go_on.release(3)
    turns = EmbeddingTurns(model.embed)
    with pytest.raises(RuntimeError, match="out of memory"):
        await turns.rows(["fail"], MANY)
    assert (await turns.rows(["well"], MANY)).tolist() == [[4]]


async def test_what_nobody_waits_for_any_more_is_not_embedded() -> None:
    model = Model()
    turns = EmbeddingTurns(model.embed)
    first, left, last = (asyncio.create_task(turns.rows([text], MANY)) for text in ("first", "left", "last"))
    await begun(model, 1)
    assert model.batches == [[(["first"], MANY), (["left"], MANY), (["last"], MANY)]]
    more, gone = (asyncio.create_task(turns.rows([text], FEW)) for text in ("more", "gone"))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    model.may_go_on.release(2)
    await asyncio.gather(first, left, last, more)
    assert model.batches[1:] == [[(["more"], FEW)]]
