"""What it costs to ask for the evidence of confidence: milliseconds added to a step, by rows and by what is asked for.

    python -m benchmarks.confidence.cost --precision int4

Rows under different adapters, greedy; none of them asks, one, or all. All rows of a step end together, so what the step
takes longer is what everybody waits longer. Of several runs in a row the fastest counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.injection.mix import constant
from benchmarks.harness import report
from benchmarks.harness.interleave import interleave, timed
from benchmarks.harness.intervals import Interval, of_values
from benchmarks.harness.workload import assignment, load_base, make_engine, prompts, write_adapters

STEPS = 64
TRIES = 3
"""Runs in a row, of which the fastest counts."""
PLAIN = SamplingParams(max_tokens=STEPS, temperature=0.0, ignore_eos=True)
ASKED: Mapping[str, SamplingParams] = {
    "log-probabilities": replace(PLAIN, logprobs=0),
    "log-probabilities, spread": replace(PLAIN, logprobs=0, spread=True),
    "attention": replace(PLAIN, attention=True),
}


@dataclass(frozen=True)
class Row:
    """One case beside the same rows of which none asks."""

    rows: int
    asking: int
    asked_for: str
    tokens_per_s: Interval
    added_ms: Interval
    """More than the nearest step in which none asks."""


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__, repeats=7))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    given = parser.parse_args()
    base = load_base(given.precision)
    with tempfile.TemporaryDirectory() as directory:
        engine = make_engine(base, Path(directory), EngineOptions(prefix_cache=False))
        write_adapters(base, Path(directory), 8)
        results = [row for rows in given.rows for row in measured(engine, rows, given.repeats)]
    report.table(
        "Asked for beside the answer",
        ("rows", "of them ask", "for", "tokens/s", "added to a step, ms"),
        [
            (str(row.rows), str(row.asking), row.asked_for, row.tokens_per_s.text(0), row.added_ms.text(2))
            for row in results
        ],
    )
    report.finish("confidence-cost", given.json, precision=given.precision, results=results, checks=[])


def measured(engine: Engine, rows: int, repeats: int) -> list[Row]:
    """Every case in turns with rows of which none asks."""
    cases = {(0, "nothing"): PLAIN}
    cases |= {(asking, what): params for asking in sorted({1, rows}) for what, params in ASKED.items()}
    timings = interleave(
        {key: partial(fastest, engine, rows, key[0], params) for key, params in cases.items()},
        repeats,
        what=f"{rows} rows",
    )
    free = timings[0, "nothing"]
    made = []
    for (asking, what), own in timings.items():
        nearest = [(run, min(free, key=lambda other: abs(other.began - run.began))) for run in own]
        added = of_values([1000 * (run.seconds - other.seconds) / STEPS for run, other in nearest])
        made.append(Row(rows, asking, what, of_values([rows * STEPS / run.seconds for run in own]), added))
    return made


def fastest(engine: Engine, rows: int, asking: int, params: SamplingParams) -> float:
    """Seconds of the fastest of `TRIES` runs."""
    return min(timed(partial(run, engine, rows, asking, params))() for _ in range(TRIES))


def run(engine: Engine, rows: int, asking: int, params: SamplingParams) -> None:
    """So many rows under adapters, `STEPS` tokens each; the first ``asking`` of them with ``params``."""
    for number, (prompt, adapter) in enumerate(zip(prompts(rows), assignment(rows), strict=True)):
        mix = constant(engine.resolve_mix(adapter))
        own = params if number < asking else PLAIN
        engine.add(GenerationRequest(f"row-{number}", tuple(prompt), own, (mix,)))
    while engine.has_work:
        engine.step()


if __name__ == "__main__":
    main()
