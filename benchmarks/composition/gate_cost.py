"""What a gate costs beside one adapter and beside a static mix of the same adapters: tokens per second, by rows.

    python -m benchmarks.composition.gate_cost --precision int4

Every row has the same mix, greedy. The gate is Arrow's; a learned one has directions of the same sizes. Cases take
turns; of several runs in a row the fastest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.injection.arrow import arrow_gate
from adaptrix_core.injection.gate import gate_mix
from adaptrix_core.injection.mix import Term
from adaptrix_core.training.evaluation.interference import loaded_adapters
from benchmarks.harness import report
from benchmarks.harness.interleave import interleave
from benchmarks.harness.intervals import Interval, of_values
from benchmarks.harness.step_cost import added_ms, engine_with_adapters, fastest
from benchmarks.harness.workload import name

STEPS = 64
TRIES = 3
"""Runs in a row, of which the fastest counts."""
PLAIN = SamplingParams(max_tokens=STEPS, temperature=0.0, ignore_eos=True)
ONE = "one adapter"


@dataclass(frozen=True)
class Row:
    """One case beside rows under one adapter."""

    rows: int
    mix: str
    tokens_per_s: Interval
    added_ms: Interval
    """More than the nearest step under one adapter."""


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__, repeats=7))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    given = parser.parse_args()
    with engine_with_adapters(given.precision) as engine:
        cases = _cases(engine)
        results = [row for rows in given.rows for row in _measured(engine, rows, cases, given.repeats)]
    report.table(
        "Rows under a mix",
        ("rows", "mix", "tokens/s", "added to a step, ms"),
        [(str(row.rows), row.mix, row.tokens_per_s.text(0), row.added_ms.text(2)) for row in results],
    )
    report.finish("gate-cost", given.json, precision=given.precision, results=results, checks=[])


def _cases(engine: Engine) -> dict[str, AdapterChoice]:
    cases: dict[str, AdapterChoice] = {ONE: name(0)}
    for count in (2, 3):
        names = [name(number) for number in range(count)]
        own = [adapter.weights for adapter in loaded_adapters(engine, names).values()]
        terms = [Term(one) for one in names]
        cases[f"{count} adapters, static"] = dict.fromkeys(names, 1 / count)
        cases[f"{count} adapters, gate"] = gate_mix(terms, arrow_gate(own))
    cases["3 adapters, gate, 1 of 3"] = gate_mix(terms, arrow_gate(own, top_k=1))
    return cases


def _measured(engine: Engine, rows: int, cases: Mapping[str, AdapterChoice], repeats: int) -> list[Row]:
    timings = interleave(
        {what: partial(fastest, engine, [PLAIN] * rows, TRIES, [choice] * rows) for what, choice in cases.items()},
        repeats,
        what=f"{rows} rows",
    )
    return [
        Row(rows, what, of_values([rows * STEPS / run.seconds for run in own]), added_ms(own, timings[ONE], STEPS))
        for what, own in timings.items()
    ]


if __name__ == "__main__":
    main()
