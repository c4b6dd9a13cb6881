"""What it costs to ask for the evidence of confidence: milliseconds added to a step, by rows and by what is asked for.

    python -m benchmarks.confidence.cost --precision int4

Rows under different adapters, greedy; none of them asks, one, or all. All rows of a step end together, so what the step
takes longer is what everybody waits longer. Of several runs in a row the fastest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from adaptrix_core.engine import Engine, SamplingParams
from benchmarks.harness import report
from benchmarks.harness.interleave import interleave
from benchmarks.harness.intervals import Interval, of_values
from benchmarks.harness.step_cost import added_ms, engine_with_adapters, fastest

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
    with engine_with_adapters(given.precision) as engine:
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
        {key: partial(fastest, engine, rows_asking(rows, key[0], params), TRIES) for key, params in cases.items()},
        repeats,
        what=f"{rows} rows",
    )
    free = timings[0, "nothing"]
    made = []
    for (asking, what), own in timings.items():
        speed = of_values([rows * STEPS / run.seconds for run in own])
        made.append(Row(rows, asking, what, speed, added_ms(own, free, STEPS)))
    return made


def rows_asking(rows: int, asking: int, params: SamplingParams) -> list[SamplingParams]:
    """So many rows, the first ``asking`` of them with ``params``."""
    return [params if number < asking else PLAIN for number in range(rows)]


if __name__ == "__main__":
    main()
