"""What it adds to a step that some rows ask for more: equal batches in turns, with and without, the fastest of a few.

Equal runs come in speeds some milliseconds a step apart, whatever they compute: so each is made several times in a row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.injection.mix import Mix, constant
from benchmarks.harness.interleave import timed
from benchmarks.harness.intervals import Interval, Timing, of_values
from benchmarks.harness.workload import assignment, load_base, make_engine, prompts, write_adapters


@contextmanager
def engine_with_adapters(precision: str) -> Iterator[Engine]:
    """An engine with eight adapters, without a cache of prompts."""
    base = load_base(precision)
    with tempfile.TemporaryDirectory() as directory:
        engine = make_engine(base, Path(directory), EngineOptions(prefix_cache=False))
        write_adapters(base, Path(directory), 8)
        yield engine


def fastest(
    engine: Engine, params: Sequence[SamplingParams], tries: int, choices: Sequence[AdapterChoice] | None = None
) -> float:
    """Seconds of the fastest of so many runs of one batch: a row for each of ``params``.

    choices: who answers each row; an adapter of its own if None.
    """
    mixes = [engine.resolve_mix(choice) for choice in choices or assignment(len(params))]
    return min(timed(partial(_run, engine, params, mixes))() for _ in range(tries))


def added_ms(own: Sequence[Timing], free: Sequence[Timing], steps: int) -> Interval:
    """Milliseconds for each of ``steps`` that runs took more than those without, of runs that were neighbours."""
    nearest = [(run, min(free, key=lambda other: abs(other.began - run.began))) for run in own]
    return of_values([1000 * (run.seconds - other.seconds) / steps for run, other in nearest])


def _run(engine: Engine, params: Sequence[SamplingParams], mixes: Sequence[Mix]) -> None:
    for number, (prompt, mix, own) in enumerate(zip(prompts(len(params)), mixes, params, strict=True)):
        engine.add(GenerationRequest(f"row-{number}", tuple(prompt), own, (constant(mix),)))
    while engine.has_work:
        engine.step()
