"""The heartbeat tells a stuck engine from one that rests, works, compiles or builds its kernels."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

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


@dataclass
class Thread:
    """A thread's clocks: it uses a share of the time that passes."""

    wall: Clock = field(default_factory=Clock)
    processor: Clock = field(default_factory=Clock)
    num_tokens: int = 1

    def heartbeat(self) -> Heartbeat:
        heartbeat = Heartbeat(clock=self.wall, num_tokens=lambda: self.num_tokens)
        heartbeat._processor_clock = self.processor
        return heartbeat

    def passes(self, seconds: float, share: float) -> None:
        self.wall.now += seconds
        self.processor.now += share * seconds

    def steps(self, heartbeat: Heartbeat, seconds: float, count: int = FIRST_STEPS) -> None:
        for _ in range(count):
            heartbeat.begin()
            self.passes(seconds, 1.0)
            heartbeat.stepped(True)


def test_a_machine_five_times_too_slow_is_not_stuck() -> None:
    thread = Thread()
    heartbeat = thread.heartbeat()
    thread.steps(heartbeat, 0.02)
    heartbeat.begin()
    for _ in range(400):  # 200 s, of which the thread gets a fifth of a fifth
        thread.passes(0.5, 0.04)
        assert not heartbeat.is_stuck
    thread.passes(0.5, 0.04)
    heartbeat.stepped(True)
    assert not heartbeat.is_stuck


def test_a_thread_that_turns_in_circles_is_stuck_however_slow_the_machine() -> None:
    thread = Thread()
    heartbeat = thread.heartbeat()
    thread.steps(heartbeat, 0.02)
    heartbeat.begin()
    while not heartbeat.is_stuck:
        thread.passes(0.5, 0.2)
    assert STUCK_S < thread.processor.now < 2 * STUCK_S


def test_a_thread_that_waits_for_what_does_not_come_is_stuck() -> None:
    thread = Thread()
    heartbeat = thread.heartbeat()
    thread.steps(heartbeat, 0.02)
    heartbeat.begin()
    thread.passes(3.0, 0.5)
    assert not heartbeat.is_stuck
    while not heartbeat.is_stuck:
        thread.passes(0.5, 0.0)
        assert thread.wall.now < 3 * STUCK_S
    assert thread.wall.now > STUCK_S


def test_a_large_step_of_a_large_model_may_take_long() -> None:
    thread = Thread(num_tokens=64)
    heartbeat = thread.heartbeat()
    thread.steps(heartbeat, 1.3)  # a billion parameters in float32 on two cores
    thread.num_tokens = 512
    heartbeat.begin()
    thread.passes(60.0, 1.0)
    assert not heartbeat.is_stuck
    thread.passes(60.0, 1.0)
    assert heartbeat.is_stuck


async def test_warming_up_ends_the_grace_of_the_first_steps(make_engine: MakeEngine) -> None:
    loop = EngineLoop(make_engine())
    loop.start()
    try:
        await asyncio.to_thread(loop.warm_up)
        assert loop.heartbeat._num_steps >= FIRST_STEPS
        assert not loop.engine.has_work
    finally:
        loop.stop()


async def test_the_counts_begin_after_warming_up(make_engine: MakeEngine) -> None:
    loop = EngineLoop(make_engine())
    loop.start()
    try:
        await asyncio.to_thread(loop.warm_up)
        stats = loop.engine.stats()
        assert (stats["steps"], stats["compute_s"], stats["tokens_generated"]) == (0, 0.0, 0)
        assert all(span["computed"] == span["taken_over"] == 0 for span in stats["layer_tokens"])
        async for _ in loop.generate(request("first", random_prompts([3])[0], max_tokens=5)):
            pass
        assert loop.engine.stats()["tokens_generated"] == 5
    finally:
        loop.stop()


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
