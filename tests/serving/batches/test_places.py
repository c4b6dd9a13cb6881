"""Places are shared by tenants: whoever uses least is next, and none is lost."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.batches.places import Places


async def test_whoever_uses_least_is_served_next() -> None:
    places = Places(2)
    assert [await places.take("many", 1), await places.take("many", 1)] == [1, 1]
    order: list[str] = []

    async def one(tenant: str) -> None:
        await places.take(tenant, 1)
        order.append(tenant)

    waiting = [asyncio.create_task(one(tenant)) for tenant in ("many", "many", "few")]
    await asyncio.sleep(0)
    places.give_back("many", 1)
    await asyncio.sleep(0)
    assert order == ["few"]
    places.give_back("many", 1)
    places.give_back("few", 1)
    await asyncio.gather(*waiting)


async def test_more_than_there_are_means_all_of_them() -> None:
    places = Places(3)
    assert await places.take("a", 99) == 3
    waiting = asyncio.create_task(places.take("b", 1))
    await asyncio.sleep(0)
    assert not waiting.done()
    places.give_back("a", 3)
    assert await waiting == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.booleans()), max_size=30), st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_no_place_is_lost_whoever_gives_up(asked: list[tuple[str, int, bool]], number: int) -> None:
    async def history() -> None:
        places, used, most = Places(number), 0, 0

        async def use(tenant: str, wanted: int) -> None:
            nonlocal used, most
            taken = await places.take(tenant, wanted)
            used += taken
            most = max(most, used)
            try:
                await asyncio.sleep(0)
            finally:
                used -= taken
                places.give_back(tenant, taken)

        tasks = []
        for tenant, wanted, gives_up in asked:
            tasks.append(asyncio.create_task(use(tenant, wanted)))
            await asyncio.sleep(0)
            if gives_up:
                tasks[len(tasks) // 2].cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert most <= number
        assert await places.take("c", number) == number

    asyncio.run(history())
