"""Measure what the simulator needs to know about an engine: step times, and how long an adapter takes to load.

    OMP_NUM_THREADS=1 python -m cluster.simulation.calibrate --out cluster/simulation/calibration.json

Steps are timed one by one while rows decode under different adapters, while prompts are computed, and while both
happen; each kind of step counts with its median. Three coefficients are fitted to these. A load is an adapter read
from disk, verified as far as the trust policy ``off`` asks, and put into host memory. Run it with as many threads as
a replica has. On a machine that is shared, ``--clock cpu`` counts the computing thread's own seconds, not those in
which others had its core; that needs a single thread, and a CPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from adaptrix_core.engine import Engine, EngineOptions, GenerationRequest, SamplingParams
from adaptrix_core.injection.mix import constant
from cluster.simulation.engine_model import EngineModel, MeasuredStep, StepCost, fit_steps, median_error
from loadtest.random_adapters import write_adapters

ROWS = (1, 2, 4, 8, 16, 32)
PROMPTS = (16, 64, 128, 256, 512)
MIXED_ROWS = (1, 4, 16)
CONTEXT_TOKENS = 64
"""Prompt of the decoding rows: attention over it is part of what is measured."""
ADAPTERS = 16
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.thread_time}


class Calibrator:
    """One engine with adapters, whose steps are timed."""

    def __init__(self, engine: Engine, names: list[str], clock: Callable[[], float]) -> None:
        self._engine = engine
        self._clock = clock
        self._names = names
        self._numbers = itertools.count()
        self._random = torch.Generator().manual_seed(0)

    def decode_steps(self, rows: int, repeats: int) -> list[MeasuredStep]:
        """Steps in which ``rows`` rows decode, and nothing else happens."""
        with_room = repeats + 2 * rows + CONTEXT_TOKENS * rows // 8
        ids = self._begin(rows, with_room)
        steps = [MeasuredStep(rows, 0, self._timed()[0]) for _ in range(repeats)]
        self._abort(ids)
        return steps

    def prompt_steps(self, tokens: int, repeats: int) -> list[MeasuredStep]:
        """Steps in which a prompt of ``tokens`` is computed, and nothing else happens."""
        steps = []
        for _ in range(repeats):
            request_id = self._add(tokens, 2)
            steps.append(MeasuredStep(0, tokens, self._timed()[0]))
            self._abort([request_id])
        return steps

    def mixed_steps(self, rows: int, repeats: int) -> list[MeasuredStep]:
        """Steps in which ``rows`` rows decode, with as much of a prompt beside them as the engine takes."""
        ids = self._begin(rows, repeats + 2 * rows + CONTEXT_TOKENS * rows // 8 + 8)
        ids.append(self._add(512, 2))
        steps = []
        for _ in range(repeats):
            seconds, tokens = self._timed()
            if tokens <= rows:
                break  # the prompt has ended
            steps.append(MeasuredStep(rows, tokens - rows, seconds))
        self._abort(ids)
        return steps

    def load_seconds(self, directory: Path) -> float:
        """Median over the adapters in ``directory`` of the time to load one."""
        times = []
        for path in sorted(directory.iterdir()):
            began = self._clock()
            self._engine.load_adapter(path, f"again-{path.name}")
            times.append(self._clock() - began)
        return statistics.median(times)

    def _begin(self, rows: int, max_tokens: int) -> list[str]:
        """``rows`` requests that all decode."""
        ids = [self._add(CONTEXT_TOKENS, max_tokens) for _ in range(rows)]
        begun: set[str] = set()
        while len(begun) < rows:
            begun |= {event.request_id for event in self._engine.step()}
        return ids

    def _add(self, prompt_tokens: int, max_tokens: int) -> str:
        number = next(self._numbers)
        prompt = torch.randint(100, 380, (prompt_tokens,), generator=self._random).tolist()
        mix = self._engine.resolve_mix(self._names[number % len(self._names)])
        params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
        self._engine.add(GenerationRequest(f"calibrate-{number}", tuple(prompt), params, (constant(mix),)))
        return f"calibrate-{number}"

    def _timed(self) -> tuple[float, int]:
        """Seconds of one step, and its tokens."""
        before = self._tokens()
        began = self._clock()
        self._engine.step()
        return self._clock() - began, self._tokens() - before

    def _tokens(self) -> int:
        computed = sum(span["computed"] for span in self._engine.stats()["layer_tokens"])
        return int(computed) // self._engine.base.info.num_layers

    def _abort(self, request_ids: list[str]) -> None:
        for request_id in request_ids:
            self._engine.abort(request_id)


def measure(calibrator: Calibrator, repeats: int) -> Iterator[list[MeasuredStep]]:
    """All kinds of steps, once around."""
    for rows in ROWS:
        yield calibrator.decode_steps(rows, repeats)
    for tokens in PROMPTS:
        yield calibrator.prompt_steps(tokens, max(3, repeats // 5))
    for rows in MIXED_ROWS:
        yield calibrator.mixed_steps(rows, repeats)


def medians(steps: list[MeasuredStep]) -> list[MeasuredStep]:
    """One step per kind, with the median of the seconds of its kind."""
    kinds: dict[tuple[int, int], list[float]] = defaultdict(list)
    for step in steps:
        kinds[step.rows, step.prefill_tokens].append(step.seconds)
    return [MeasuredStep(*kind, statistics.median(seconds)) for kind, seconds in sorted(kinds.items())]


def main() -> None:
    """Measure, fit, print measured against fitted, write the model, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--precision", default="int4")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("cluster/simulation/calibration.json"))
    given = parser.parse_args()
    if given.clock == "cpu" and torch.get_num_threads() != 1:
        parser.error(f"--clock cpu counts one thread, and torch uses {torch.get_num_threads()}; set OMP_NUM_THREADS=1")
    options = EngineOptions(prefix_cache=False)
    with tempfile.TemporaryDirectory() as directory:
        adapters = Path(directory)
        engine = Engine.from_pretrained(
            given.base, precision=given.precision, adapters_dir=adapters, trust="off", options=options
        )
        names = write_adapters(adapters, engine.base, ADAPTERS)
        calibrator = Calibrator(engine, names, CLOCKS[given.clock])
        load_s = calibrator.load_seconds(adapters)
        total = len(ROWS) + len(PROMPTS) + len(MIXED_ROWS)
        rounds = track(measure(calibrator, given.repeats), "measuring steps", total, transient=True)
        steps = medians([step for kind in rounds for step in kind])
    cost = fit_steps(steps)
    model = EngineModel(
        cost,
        options.max_rows,
        options.max_batch_tokens,
        options.prompt_limits_on(engine.base.device).mixed_prefill_tokens,
        options.short_prompt_tokens,
        load_s=load_s,
    )
    model.save(given.out)
    show(steps, cost)
    environment = {
        "base": given.base,
        "precision": given.precision,
        "threads": torch.get_num_threads(),
        "clock": given.clock,
    }
    error = median_error(cost, steps)
    print(json.dumps({"experiment": "calibrate", **environment, **asdict(model), "median_error": error}))


def show(steps: list[MeasuredStep], cost: StepCost) -> None:
    """Print measured and fitted seconds of every kind of step."""
    table = Table(title="Milliseconds of a step, medians")
    for column in ("decoding rows", "prompt tokens", "measured", "fitted"):
        table.add_column(column, justify="right")
    for step in steps:
        fitted = cost.seconds(step.rows, step.prefill_tokens)
        table.add_row(str(step.rows), str(step.prefill_tokens), f"{step.seconds * 1000:.1f}", f"{fitted * 1000:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
