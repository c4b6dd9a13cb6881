"""How long running streams wait for their next token while a long prompt arrives.

    python -m benchmarks.stall --precision int4

Streams decode under different adapters until their steps are steady; then one request with a 2000-token prompt comes.
The gap between two tokens of a stream is measured before, and from the arrival to the newcomer's first token.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rich.progress import Progress

from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.injection.mix import constant
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, of_values
from benchmarks.harness.report import Check
from benchmarks.harness.workload import (
    NUM_ADAPTERS,
    assignment,
    load_base,
    make_engine,
    prompts,
    random_tokens,
    write_adapters,
)

PROMPT_TOKENS, STEADY_STEPS = 2000, 300
TARGET = 3.0
"""Steady steps that the longest gap may last."""
UNENDING = SamplingParams(max_tokens=4000, temperature=0.0, ignore_eos=True)
FIRST = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True)


@dataclass(frozen=True)
class Stall:
    """One arrival, in seconds."""

    steady: float
    longest_steady: float
    """What the machine's other work does to a stream without any arrival."""
    median_gap: float
    late_gap: float
    """95 % of the gaps are shorter."""
    longest_gap: float
    first_token: float
    """From the newcomer's arrival to its first token."""


@dataclass(frozen=True)
class Row:
    """All arrivals beside one number of streams."""

    streams: int
    steady_ms: Interval
    longest_steady_ms: Interval
    median_gap_ms: Interval
    late_gap_ms: Interval
    longest_gap_ms: Interval
    stall: Interval
    """The longest gap in steady steps."""
    first_token_s: Interval


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__))
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--prompt-tokens", type=int, default=PROMPT_TOKENS)
    parser.add_argument("--max-batch-tokens", type=int, default=EngineOptions().max_batch_tokens)
    given = parser.parse_args()
    base = load_base(given.precision)
    options = EngineOptions(max_batch_tokens=given.max_batch_tokens, prefix_cache=False)
    rows = []
    with tempfile.TemporaryDirectory() as directory, Progress(transient=True) as progress:
        engine = make_engine(base, Path(directory), options)
        write_adapters(base, Path(directory), NUM_ADAPTERS)
        task = progress.add_task("measuring", total=len(given.streams) * given.repeats)
        for streams in given.streams:
            stalls = []
            for _ in range(given.repeats):
                stalls.append(arrival(engine, streams, given.prompt_tokens))
                progress.advance(task)
            rows.append(summary(streams, stalls))
    checks = [
        Check(f"longest gap beside {row.streams} streams, in steps", row.stall, TARGET, at_most=True) for row in rows
    ]
    show(rows, given.prompt_tokens)
    report.show_checks(checks)
    report.finish(
        "stall",
        given.json,
        precision=given.precision,
        dtype=base.info.dtype,
        prompt_tokens=given.prompt_tokens,
        max_batch_tokens=given.max_batch_tokens,
        results=rows,
        checks=report.checks_json(checks),
    )


def arrival(engine: Engine, streams: int, prompt_tokens: int) -> Stall:
    """Start the streams, let a long prompt arrive, and stop everything once it has its first token."""
    for number, (prompt, adapter) in enumerate(zip(prompts(streams), assignment(streams), strict=True)):
        engine.add(
            GenerationRequest(f"stream-{number}", tuple(prompt), UNENDING, (constant(engine.resolve_mix(adapter)),))
        )
    times: dict[str, list[float]] = {f"stream-{number}": [] for number in range(streams)}
    while min(map(len, times.values())) <= STEADY_STEPS:
        _step(engine, times)
    before = _gaps(times.values())
    times = {stream: seen[-1:] for stream, seen in times.items()}
    vocab_size = engine.base.info.vocab_size
    newcomer = GenerationRequest("newcomer", tuple(random_tokens(prompt_tokens, 0, vocab_size)), FIRST)
    arrived = time.perf_counter()
    engine.add(newcomer)
    while "newcomer" not in _step(engine, times):
        pass
    first_token = time.perf_counter() - arrived
    for stream in times:
        engine.abort(stream)
    gaps = _gaps(times.values())
    late = statistics.quantiles(gaps, n=20)[-1]
    return Stall(statistics.median(before), max(before), statistics.median(gaps), late, max(gaps), first_token)


def summary(streams: int, stalls: Sequence[Stall]) -> Row:
    """Medians over arrivals."""
    return Row(
        streams,
        of_values([1000 * stall.steady for stall in stalls]),
        of_values([1000 * stall.longest_steady for stall in stalls]),
        of_values([1000 * stall.median_gap for stall in stalls]),
        of_values([1000 * stall.late_gap for stall in stalls]),
        of_values([1000 * stall.longest_gap for stall in stalls]),
        of_values([stall.longest_gap / stall.steady for stall in stalls]),
        of_values([stall.first_token for stall in stalls]),
    )


def show(rows: Sequence[Row], prompt_tokens: int) -> None:
    """Print the table."""
    report.table(
        f"Running streams while a {prompt_tokens}-token prompt arrives",
        (
            "streams",
            "steady step, ms",
            "longest steady",
            "median gap, ms",
            "95 % below, ms",
            "longest gap, ms",
            "longest / steady",
            "its first token, s",
        ),
        [
            (
                str(row.streams),
                row.steady_ms.text(1),
                row.longest_steady_ms.text(1),
                row.median_gap_ms.text(1),
                row.late_gap_ms.text(1),
                row.longest_gap_ms.text(1),
                row.stall.text(1),
                row.first_token_s.text(2),
            )
            for row in rows
        ],
    )


def _step(engine: Engine, times: dict[str, list[float]]) -> set[str]:
    """Compute a step, note when each stream got its token, and say whose tokens came."""
    events = engine.step()
    now = time.perf_counter()
    came = {event.request_id for event in events}
    for stream in came & times.keys():
        times[stream].append(now)
    return came


def _gaps(times: Iterable[Sequence[float]]) -> list[float]:
    return [later - earlier for seen in times for earlier, later in pairwise(seen)]


if __name__ == "__main__":
    main()
