"""Requests that wait: more urgent ones come first; a full queue refuses, says when to come back, and serves what it has
accepted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import running
from tests.serving.tiny import World


async def test_a_full_queue_refuses_and_serves_what_it_has_accepted(world: World, tmp_path: Path) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, engine={"max_rows": 1, "max_queue": 1}
    )
    body = {"model": BASE_ID, "prompt": "one two three", "max_tokens": 400, "temperature": 0, "ignore_eos": True}
    async with running(args) as (http, store):

        async def rows() -> tuple[float, float]:
            stats = (await store.worker.report("r", "")).stats
            return stats["rows_running"], stats["rows_waiting"]

        async def runs() -> bool:
            return await rows() == (1, 0)

        async def is_full() -> bool:
            return await rows() == (1, 1)

        accepted = [asyncio.create_task(http.post("/v1/completions", json=body))]
        await eventually(runs)
        short = {**body, "max_tokens": 2}
        accepted.append(asyncio.create_task(http.post("/v1/completions", json=short)))
        await eventually(is_full)
        refused = await http.post("/v1/completions", json=short)
        assert not any(task.done() for task in accepted)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "overloaded")
        assert "1 rows wait and the queue holds 1" in error["message"]
        answers = await asyncio.gather(*accepted)
        assert [answer.json()["usage"]["completion_tokens"] for answer in answers] == [400, 2]
        assert (await http.post("/v1/completions", json=short)).status_code == 200


@pytest.mark.asyncio(loop_scope="session")
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
