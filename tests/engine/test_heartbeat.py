"""The heartbeat tells a stuck engine from one that rests, works, compiles or builds its kernels."""

from __future__ import annotations

import asyncio
import threading

from adaptrix_core.engine import EngineLoop
from adaptrix_core.engine.heartbeat import COMPILING_S, FIRST_STEPS, STUCK_S, Heartbeat
from tests.engine.conftest import MakeEngine
from tests.engine.driving import request
from tests.tiny_models import random_prompts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def beating(clock: Clock, is_compiling: bool = False, steps: int = FIRST_STEPS) -> Heartbeat:
    heartbeat = Heartbeat(lambda: is_compiling, clock=clock)
    for _ in range(steps):
        heartbeat.begin()
        heartbeat.stepped(True)
    return heartbeat


def test_a_step_that_takes_too_long_is_stuck_until_the_next_begins() -> None:
    clock = Clock()
    heartbeat = beating(clock)
    clock.now = STUCK_S
    assert not heartbeat.is_stuck
    clock.now += 0.1
    assert heartbeat.is_stuck
    heartbeat.begin()
    assert not heartbeat.is_stuck


def test_work_that_nobody_can_do_is_stuck_though_the_thread_goes_round() -> None:
    clock = Clock()
    heartbeat = beating(clock)
    for _ in range(3):
        clock.now += STUCK_S / 2
        heartbeat.begin()
        assert not heartbeat.is_stuck
        heartbeat.stepped(False)
    clock.now += 0.1
    heartbeat.begin()
    assert heartbeat.is_stuck
    heartbeat.stepped(True)
    assert not heartbeat.is_stuck


def test_rest_is_never_stuck() -> None:
    clock = Clock()
    heartbeat = beating(clock)
    heartbeat.rest()
    clock.now = 1e9
    assert not heartbeat.is_stuck


def test_compiling_and_the_first_steps_may_take_longer_but_not_for_ever() -> None:
    for clock, heartbeat in ((c := Clock(), beating(c, is_compiling=True)), (c := Clock(), beating(c, steps=0))):
        heartbeat.begin()
        clock.now = COMPILING_S
        assert not heartbeat.is_stuck
        clock.now += 0.1
        assert heartbeat.is_stuck


async def test_a_loop_whose_thread_hangs_is_stuck_and_well_again_when_it_goes_on(make_engine: MakeEngine) -> None:
    loop = EngineLoop(make_engine(), stuck_s=0.05)
    loop.start()
    try:
        async for _ in loop.generate(request("warm", random_prompts([3])[0], max_tokens=FIRST_STEPS + 2)):
            pass
        hangs = threading.Event()
        command = asyncio.create_task(loop.call(lambda _engine: hangs.wait(120)))
        await until(lambda: loop.heartbeat.is_stuck)
        hangs.set()
        await command
        await until(lambda: not loop.heartbeat.is_stuck)
    finally:
        loop.stop()


async def until(condition: object) -> None:
    async with asyncio.timeout(60):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.01)
