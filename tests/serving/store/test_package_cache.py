"""One read serves all who ask for the same thing; what is kept is bounded; a failed read is tried again."""

from __future__ import annotations

import asyncio

import pytest

from deployments.store.package_cache import PackageCache


class Disk:
    def __init__(self) -> None:
        self.reads: list[str] = []
        self.released = asyncio.Event()

    async def read(self, key: str) -> tuple[str, int]:
        self.reads.append(key)
        await self.released.wait()
        if key == "bad":
            raise OSError("bad sector")
        return key.upper(), 10


async def test_a_hundred_that_ask_at_once_cost_one_read_and_later_ones_none() -> None:
    disk = Disk()
    cache = PackageCache(disk.read, max_bytes=100)
    asking = [asyncio.create_task(cache.get("a")) for _ in range(100)]
    await asyncio.sleep(0)
    asking[0].cancel()  # the one that began the read goes away; the others still get it
    disk.released.set()
    assert set(await asyncio.gather(*asking[1:])) == {"A"}
    assert await cache.get("a") == "A"
    assert disk.reads == ["a"]


async def test_the_longest_unasked_leave_first() -> None:
    disk = Disk()
    disk.released.set()
    cache = PackageCache(disk.read, max_bytes=20)
    for key in ("a", "b", "a", "c", "a", "b"):
        await cache.get(key)
    assert disk.reads == ["a", "b", "c", "b"]
    cache.drop("a")
    await cache.get("a")
    assert disk.reads[-1] == "a"


async def test_a_failed_read_fails_all_who_wait_and_is_tried_again() -> None:
    disk = Disk()
    cache = PackageCache(disk.read, max_bytes=20)
    asking = [asyncio.create_task(cache.get("bad")) for _ in range(3)]
    await asyncio.sleep(0)
    disk.released.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError] * 3
    with pytest.raises(OSError, match="bad sector"):
        await cache.get("bad")
    assert disk.reads == ["bad", "bad"]
