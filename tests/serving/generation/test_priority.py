"""The field ``priority``, from the body to the engine's queue."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_more_urgent_request_is_answered_first(world: World, tmp_path: Path) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False}, engine={"max_rows": 1}
    )
    answered: list[int] = []
    async with running(args) as (http, store):

        async def ask(priority: int, max_tokens: int) -> httpx.Response:
            body = {"model": BASE_ID, "prompt": "a b", "max_tokens": max_tokens, "ignore_eos": True}
            answer = await http.post("/v1/completions", json={**body, "priority": priority})
            answered.append(priority)
            return answer

        async def rows(running: int, waiting: int) -> bool:
            stats = (await store.worker.report("r", "")).stats
            return (stats["rows_running"], stats["rows_waiting"]) == (running, waiting)

        tasks = [asyncio.create_task(ask(0, 600))]
        for number, priority in enumerate((9, 4)):
            await eventually(lambda number=number: rows(1, number))
            tasks.append(asyncio.create_task(ask(priority, 2)))
        await eventually(lambda: rows(1, 2))
        assert answered == []
        assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    assert answered == [0, 4, 9]
