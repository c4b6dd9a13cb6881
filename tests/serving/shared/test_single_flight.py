"""Single-flight: who wants the same thing at the same time shares the work, its result and its error."""

from __future__ import annotations

import asyncio

import pytest

from deployments.shared.single_flight import SingleFlight


class Work:
    """Counts how often it was begun; ends when it is told to."""

    def __init__(self) -> None:
        self.num_begun = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.num_begun += 1
        await self.may_end.wait()
        if self.error is not None:
            raise self.error
        return self.num_begun


async def begun(flights: SingleFlight[str, int], work: Work, count: int, key: str = "a") -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flights.do(key, work)) for _ in range(count)]
    while not work.num_begun:
        await asyncio.sleep(0)
    return tasks


async def test_callers_at_the_same_time_share_one_piece_of_work_and_later_ones_begin_anew() -> None:
    flights, work = SingleFlight[str, int](), Work()
    together = await begun(flights, work, 5)
    work.may_end.set()
    assert await asyncio.gather(*together) == [1] * 5
    assert await flights.do("a", work) == 2


async def test_other_keys_have_work_of_their_own() -> None:
    flights, one, other = SingleFlight[str, int](), Work(), Work()
    await begun(flights, one, 1, "a")
    other.may_end.set()
    assert await flights.do("b", other) == 1
    one.may_end.set()
    assert await flights.do("a", one) == 1


async def test_an_error_goes_to_all_and_is_not_kept() -> None:
    flights, work = SingleFlight[str, int](), Work()
    work.error = ValueError("no")
    together = await begun(flights, work, 3)
    work.may_end.set()
    assert [type(error) for error in await asyncio.gather(*together, return_exceptions=True)] == [ValueError] * 3
    work.error = None
    assert await flights.do("a", work) == 2


@pytest.mark.parametrize("others", [0, 2])
async def test_a_caller_that_leaves_leaves_the_work_to_the_others(others: int) -> None:
    flights, work = SingleFlight[str, int](), Work()
    leaving, *staying = await begun(flights, work, 1 + others)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    work.may_end.set()
    assert await asyncio.gather(*staying) == [1] * others
    assert work.num_begun == 1
