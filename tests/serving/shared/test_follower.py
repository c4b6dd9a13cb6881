"""A follower asks again and again, as often as it is told, until it is stopped."""

from __future__ import annotations

import asyncio

from deployments.shared.follower import Follower


async def test_it_asks_until_it_is_stopped() -> None:
    asked = asyncio.Queue[None]()

    async def ask() -> float:
        asked.put_nowait(None)
        return 0.0

    follower = Follower(ask)
    follower.stop()  # before it was started, nothing happens
    follower.start()
    for _ in range(3):
        await asyncio.wait_for(asked.get(), 10)
    follower.stop()
    follower.stop()
    await asyncio.sleep(0)
    while not asked.empty():
        asked.get_nowait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert asked.empty()


async def test_it_waits_as_long_as_the_answer_says() -> None:
    num_asked = 0

    async def ask() -> float:
        nonlocal num_asked
        num_asked += 1
        return 3600.0

    follower = Follower(ask)
    follower.start()
    for _ in range(20):
        await asyncio.sleep(0)
    follower.stop()
    assert num_asked == 1
