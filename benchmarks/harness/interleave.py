"""Runs what is compared in turns, so that a noisy machine disturbs all of it alike.

Every case is warmed up once. From that run's seconds follows how often the case is repeated: fast ones ``repeats``
times, slow ones as often as fit into their share of time, but at least three times. The runs of each case are spread
evenly over the cycles, and every second cycle goes backwards, so that nobody always runs after the same neighbour.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from rich.progress import Progress

from benchmarks.harness.intervals import Timing

FEWEST = 3
"""Repeats of a slow case, unless fewer are asked for."""

K = TypeVar("K")


def interleave(
    cases: Mapping[K, Callable[[], float]], repeats: int, share_s: float = math.inf, what: str = "measuring"
) -> dict[K, list[Timing]]:
    """Timings of each case. A case runs once and answers how many seconds that took.

    share_s: seconds that one case may take in all.
    """
    timings: dict[K, list[Timing]] = {case: [] for case in cases}
    with Progress(transient=True) as progress:
        task = progress.add_task(f"{what}: warming up", total=len(cases))
        planned: dict[K, int] = {}
        for case, run in cases.items():
            planned[case] = _planned(run(), repeats, share_s)
            progress.advance(task)
        progress.update(task, description=what, completed=0, total=sum(planned.values()))
        for cycle in range(repeats):
            for case, run in list(cases.items())[:: -1 if cycle % 2 else 1]:
                if _is_due(planned[case], cycle, repeats):
                    began = time.perf_counter()
                    timings[case].append(Timing(began, run()))
                    progress.advance(task)
    return timings


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """``run``, answering its seconds."""

    def seconds() -> float:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began

    return seconds


def _planned(seconds: float, repeats: int, share_s: float) -> int:
    if seconds * repeats <= share_s:
        return repeats
    return min(repeats, max(FEWEST, int(share_s / seconds)))


def _is_due(planned: int, cycle: int, repeats: int) -> bool:
    return (cycle + 1) * planned // repeats > cycle * planned // repeats
