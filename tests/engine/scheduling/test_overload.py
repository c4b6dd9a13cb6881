"""Goodput of a real engine on a clock of its own: more load than it can compute must not make all answers late.

Time passes only in steps, so much for a step and so much for each token; arrivals are Poisson and do not wait for
answers. A request counts as good whose first token comes within the objective.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.errors import Overloaded
from tests.engine.conftest import MakeEngine
from tests.tiny_models import random_base

STEP_S, TOKEN_S = 0.02, 0.002
SLO_S = 2.0
WINDOW_S = 15.0
LENGTHS = (4, 20)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def run_on(clock: Clock, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step take time on this clock."""
    compute = engine.runner.run

    def computing(batch: Any, meanwhile: Callable[[], None]) -> Any:
        clock.now += STEP_S + TOKEN_S * batch.num_tokens
        return compute(batch, meanwhile)

    monkeypatch.setattr(engine.runner, "run", computing)


def request(number: int, lengths: random.Random) -> GenerationRequest:
    prompt = tuple(lengths.randrange(2, 60) for _ in range(8))
    params = SamplingParams(max_tokens=lengths.randrange(*LENGTHS), temperature=0.0, ignore_eos=True)
    return GenerationRequest(f"r{number}", prompt, params)


def capacity(engine: Engine, clock: Clock) -> float:
    """Requests per second that end while more than enough wait."""
    lengths, count, began = random.Random(1), 60, clock.now
    for number in range(count):
        engine.add(request(number, lengths))
    while engine.has_work:
        engine.step()
    return count / (clock.now - began)


def goodput(engine: Engine, clock: Clock, rate: float) -> float:
    """Good requests per second of `WINDOW_S` in which ``rate`` arrive."""
    gaps, lengths, began = random.Random(2), random.Random(3), clock.now
    due: dict[str, float] = {}
    refusals: list[Overloaded] = []
    good, number, next_at = 0, 0, began + gaps.expovariate(rate)
    while next_at < began + WINDOW_S or engine.has_work:
        if not engine.has_work:
            clock.now = max(clock.now, next_at)
        while next_at <= clock.now and next_at < began + WINDOW_S:
            wanted = request(number, lengths)
            due[wanted.request_id] = next_at
            try:
                engine.add(wanted)
            except Overloaded as refused:
                refusals.append(refused)
            number, next_at = number + 1, next_at + gaps.expovariate(rate)
        for event in engine.step():
            good += event.position == 8 and clock.now - due[event.request_id] <= SLO_S
    assert all(refusal.retry_after_s is not None for refusal in refusals)
    return good / WINDOW_S


@pytest.mark.parametrize(("max_wait_s", "holds"), [(SLO_S / 2, True), (None, False)])
def test_goodput_at_three_times_the_capacity_stays_near_its_peak_where_the_wait_is_limited(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch, max_wait_s: float | None, holds: bool
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)

    def engine(limit: float | None) -> Engine:
        made = make_engine(
            base=random_base(max_position_embeddings=64),
            adapters=(),
            max_rows=4,
            max_queue=4096,
            max_wait_s=limit,
            mixed_prefill_tokens=16,
        )
        run_on(clock, made, monkeypatch)
        return made

    most = capacity(engine(None), clock)
    found = {factor: goodput(engine(max_wait_s), clock, factor * most) for factor in (0.5, 1.0, 3.0)}
    assert (found[3.0] >= 0.9 * max(found.values())) is holds, (most, found)
