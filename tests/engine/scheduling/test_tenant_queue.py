"""Slow work of one tenant keeps no other one waiting, and only so much of it waits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.errors import Overloaded


async def test_a_tenant_does_not_wait_for_the_work_of_another() -> None:
    release = threading.Event()
    queue = TenantQueue("schemas", threads=2, at_once=1, max_waiting=5)
    waiting = [asyncio.create_task(queue.run(b"one", release.wait, 30)) for _ in range(5)]
    await asyncio.sleep(0)
    assert await queue.run(b"two", lambda: "quick") == "quick"
    with pytest.raises(Overloaded, match="5 schemas of yours"):
        await queue.run(b"one", release.wait, 30)
    release.set()
    assert all(await asyncio.gather(*waiting))
    assert not queue._turns
    assert not queue._inside


async def test_errors_reach_their_caller_and_free_the_place() -> None:
    queue = TenantQueue("texts", threads=2, at_once=1, max_waiting=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await queue.run(b"", lambda: 1 / 0)


async def test_work_whose_caller_leaves_while_it_waits_is_not_begun() -> None:
    release, begun = threading.Event(), []
    queue = TenantQueue("texts", threads=2, at_once=1, max_waiting=5)
    first = asyncio.create_task(queue.run(b"", release.wait, 30))
    second = asyncio.create_task(queue.run(b"", begun.append, 1))
    await asyncio.sleep(0)
    second.cancel()
    release.set()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not begun
