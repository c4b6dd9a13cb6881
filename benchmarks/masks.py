"""What a grammar costs: the milliseconds that one row's grammar adds to a step, for itself and for the rows beside it.

    python -m benchmarks.masks --precision int4

One row answers with functions that it may call, or in a call's arguments, alone and beside seven rows without a
grammar; compared with the same rows where it has none. All rows of a step end together, so what the step takes longer
is what everybody waits longer. Equal runs come in two speeds, some 3 ms a step apart, whatever they compute: each case
is run several times in a row, and the fastest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.rows.call_grammar import call_grammar
from adaptrix_core.tools.call_form import STATED
from adaptrix_core.tools.toolset import Function, Toolset
from benchmarks.harness import report
from benchmarks.harness.interleave import interleave
from benchmarks.harness.intervals import Interval, Timing, of_values
from benchmarks.harness.report import Check
from benchmarks.harness.step_cost import added_ms, engine_with_adapters, fastest

STEPS = 64
TRIES = 4
"""Runs in a row, of which the fastest counts."""
TARGET_MS = 1.0
SAMPLED = SamplingParams(max_tokens=STEPS, temperature=1.0, top_p=0.9, seed=1, ignore_eos=True)
LONG_TEXT = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1000}}, "required": ["text"]}
"""Arguments that do not end within the steps."""
MANY = tuple(Function(f"note_{number}", "", LONG_TEXT) for number in range(100))
GRAMMARS: Mapping[str, str | None] = {
    "none": None,
    "may call 1 function": call_grammar(Toolset((Function("note", "", LONG_TEXT),)), STATED),
    "may call 100 functions": call_grammar(
        Toolset(tuple(Function(f"note_{n}", "", LONG_TEXT) for n in range(100))), STATED
    ),
    "writes arguments": call_grammar(Toolset((Function("note", "", LONG_TEXT),), must_call=True), STATED),
}


@dataclass(frozen=True)
class Row:
    """One grammar in a batch of so many rows."""

    rows: int
    grammar: str
    step_ms: Interval
    added_ms: Interval
    """More than the step without a grammar that was timed next to it."""


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__, repeats=9))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    given = parser.parse_args()
    with engine_with_adapters(given.precision) as engine:
        results = [row for rows in given.rows for row in measured(engine, rows, given.repeats)]
    checks = [
        Check(
            f"ms added to a token of {row.rows} rows, one of which {row.grammar}", row.added_ms, TARGET_MS, at_most=True
        )
        for row in results
    ]
    report.table(
        "One row's grammar",
        ("rows", "its grammar", "step, ms", "added, ms"),
        [(str(row.rows), row.grammar, row.step_ms.text(2), row.added_ms.text(2)) for row in results],
    )
    report.show_checks(checks)
    report.finish("masks", given.json, precision=given.precision, results=results, checks=report.checks_json(checks))


def measured(engine: Engine, rows: int, repeats: int) -> list[Row]:
    """Every grammar in turns with none."""
    cases = {name: partial(fastest, engine, rows_under(rows, grammar), TRIES) for name, grammar in GRAMMARS.items()}
    timings = interleave(cases, repeats, what=f"{rows} rows")
    free = timings.pop("none")
    return [Row(rows, name, _per_step(own), added_ms(own, free, STEPS)) for name, own in timings.items()]


def rows_under(rows: int, grammar: str | None) -> list[SamplingParams]:
    """So many rows, the first under the grammar."""
    return [replace(SAMPLED, grammar=None if number else grammar) for number in range(rows)]


def _per_step(timings: list[Timing]) -> Interval:
    return of_values([1000 * timing.seconds / STEPS for timing in timings])


if __name__ == "__main__":
    main()
