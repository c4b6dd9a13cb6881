"""What each pass of the engine brings: throughput without it and with it, everything else equal.

    python -m benchmarks.passes --precision int4

Eight rows under eight adapters on layers 6, 12, 18, the workload of `benchmarks.compare`. Every pass is a pair of
engines; a pass is added by adding its pair to PASSES.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from adaptrix_core.engine import EngineOptions
from benchmarks.harness import report
from benchmarks.harness.interleave import interleave, timed
from benchmarks.harness.intervals import Interval, of_rates, of_speedup
from benchmarks.harness.workload import (
    CONFIG,
    GREEDY,
    MAX_STEP_TOKENS,
    MIDDLE,
    NUM_ADAPTERS,
    OUTPUT_TOKENS,
    assignment,
    known_precisions,
    load_base,
    make_engine,
    prompts,
    write_adapters,
)

ROWS = 8


@dataclass(frozen=True)
class Variant:
    """An engine, by how it differs from the one that all others are compared with."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `EngineOptions`."""
    precision: str | None = None
    """None: the one asked for."""


@dataclass(frozen=True)
class Pass:
    """Something the engine does for speed."""

    name: str
    off: Variant
    on: Variant


PASSES = (
    Pass("prefix cache, prompts known from the run before", Variant(), Variant({"prefix_cache": True})),
    Pass("cut where the adapters begin", Variant(), Variant({"cut": MIDDLE[0]})),
    Pass("int8 weights", Variant(precision="fp32"), Variant(precision="int8")),
    Pass("int4 weights", Variant(precision="fp32"), Variant(precision="int4")),
)


@dataclass(frozen=True)
class Row:
    """One pass."""

    name: str
    off: Interval
    on: Interval
    gain: Interval
    """How many times faster it makes the workload."""


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__))
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    wanted = sorted({v.precision for p in PASSES for v in (p.off, p.on) if v.precision is not None})
    known, skipped = known_precisions(wanted)
    usable = [p for p in PASSES if all(v.precision in (None, *known) for v in (p.off, p.on))]
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        write_adapters(load_base("fp32"), Path(directory), NUM_ADAPTERS)
        for each in usable:
            rows.append(measure(each, Path(directory), given.precision, given.rows, given.repeats))
    work = given.rows * OUTPUT_TOKENS
    report.table(
        f"Output tokens per second, {given.rows} rows, {NUM_ADAPTERS} adapters",
        ("pass", "off", "on", "times faster"),
        [(row.name, row.off.text(), row.on.text(), row.gain.text(2)) for row in rows],
    )
    for system, reason in skipped.items():
        print(f"skipped: {system}: {reason}")
    report.finish(
        "passes", given.json, config=CONFIG, precision=given.precision, rows=given.rows, work=work, results=rows
    )


def measure(wanted: Pass, directory: Path, precision: str, rows: int, repeats: int) -> Row:
    """The workload without the pass and with it, in turns."""
    variants = {"off": wanted.off, "on": wanted.on}
    runs = {name: generation(variant, directory, precision, rows) for name, variant in variants.items()}
    timings = interleave({name: timed(run) for name, run in runs.items()}, repeats, what=wanted.name)
    work = rows * OUTPUT_TOKENS
    return Row(
        wanted.name,
        of_rates(timings["off"], work),
        of_rates(timings["on"], work),
        of_speedup(timings["on"], timings["off"]),
    )


def generation(variant: Variant, directory: Path, precision: str, rows: int) -> Callable[[], object]:
    """The workload on an engine of its own."""
    usual = {"max_rows": rows, "max_batch_tokens": MAX_STEP_TOKENS, "prefix_cache": False}
    options = EngineOptions(**{**usual, **variant.options})
    engine = make_engine(load_base(variant.precision or precision), directory, options)
    return partial(engine.generate, prompts(rows), assignment(rows), GREEDY)


if __name__ == "__main__":
    main()
