"""Events on their way to their reader: at once where somebody waits for them, otherwise a few together, in order."""

from __future__ import annotations

import asyncio

import pytest

from adaptrix_core.engine.mailbox import Mailbox
from adaptrix_core.engine.request import FinishReason, TokenEvent

pytestmark = pytest.mark.asyncio
LONG_S = 3600.0
DEADLINE_S = 30


def token(position: int, finish_reason: FinishReason | None = None) -> TokenEvent:
    return TokenEvent("r", 0, token_id=7, position=position, finish_reason=finish_reason)


def positions(events: list[TokenEvent]) -> list[int]:
    return [event.position for event in events]


async def test_without_an_interval_every_group_is_taken_as_it_came() -> None:
    mailbox = Mailbox()
    for number in range(3):
        mailbox.put([token(number)])
        assert positions(await mailbox.take()) == [number]


async def test_the_first_events_go_at_once_and_later_ones_gather_until_they_are_due() -> None:
    loop = asyncio.get_running_loop()
    mailbox = Mailbox(lambda: 0.05)
    mailbox.put([token(0)])
    assert positions(await mailbox.take()) == [0]
    taken = loop.time()
    mailbox.put([token(1)])
    mailbox.put([token(2)])
    async with asyncio.timeout(DEADLINE_S):
        assert positions(await mailbox.take()) == [1, 2]
    assert loop.time() - taken > 0.045  # the loop's clock ticks in milliseconds


async def test_the_end_of_a_row_is_not_held_back_nor_what_came_before_it() -> None:
    mailbox = Mailbox(lambda: LONG_S)
    mailbox.put([token(0)])
    await mailbox.take()
    mailbox.put([token(1)])
    mailbox.put([token(2, "length")])
    async with asyncio.timeout(DEADLINE_S):
        assert positions(await mailbox.take()) == [1, 2]


async def test_a_reader_that_comes_late_finds_everything() -> None:
    mailbox = Mailbox(lambda: 0.0)
    for number in range(3):
        mailbox.put([token(number)])
    assert positions(await mailbox.take()) == [0, 1, 2]


async def test_an_error_is_raised_at_once_and_after_what_came_before_it() -> None:
    mailbox = Mailbox(lambda: LONG_S)
    mailbox.put([token(0)])
    await mailbox.take()
    mailbox.put([token(1)])
    mailbox.fail(ValueError("revoked"))
    async with asyncio.timeout(DEADLINE_S):
        assert positions(await mailbox.take()) == [1]
        with pytest.raises(ValueError, match="revoked"):
            await mailbox.take()


async def test_the_interval_is_asked_for_each_group() -> None:
    intervals = iter([LONG_S, 0.0])
    mailbox = Mailbox(lambda: next(intervals))
    mailbox.put([token(0)])
    await mailbox.take()
    mailbox.put([token(1)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await mailbox.take()
    mailbox.put([token(2, "stop")])
    assert positions(await mailbox.take()) == [1, 2]
