"""Output tokens per second: the engine, transformers, PEFT's mixed batch, llama.cpp and OpenVINO GenAI, in one run.

    python -m benchmarks.compare --precisions int4 fp32 --repeats 5

Every system has a process of its own, and they take turns, so that a noisy machine disturbs all of them alike. Prompts
are distinct, every row generates exactly 48 tokens greedily, prefill is included, and no prefix cache is on. The tables
show medians with the 95 % interval of the median; a ratio is taken between runs that were neighbours in time. *Matrix
products alone* computes what the engine's layout multiplies in such a generation, and nothing else: it is the limit of
that layout. Systems that cannot run here are named at the end, with the reason.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.harness import peers, report
from benchmarks.harness.engines import ADAPTERS, NO_ADAPTER, ON_BAND, case_name, engine_system
from benchmarks.harness.interleave import interleave
from benchmarks.harness.intervals import Interval, Timing, of_rates, of_speedup
from benchmarks.harness.report import Check
from benchmarks.harness.workers import Absent, Rows, System, Worker
from benchmarks.harness.workload import (
    BAND,
    CONFIG,
    NUM_ADAPTERS,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    known_precisions,
    load_base,
    prompts,
    write_adapters,
    write_peft_adapters,
)

PEERS: Mapping[str, Callable[..., System]] = {
    "transformers": peers.transformers_system,
    "peft": peers.peft_system,
    "llama.cpp": peers.llama_cpp_system,
    "openvino-genai": peers.openvino_system,
}
ONLY_ROWS: Mapping[str, Sequence[int]] = {peers.LLAMA_CPP: (1,)}
"""Systems that are not run at every number of rows; the band's target is for batches."""
ONLY_BATCHES = (peers.OPENVINO_FIXED, ON_BAND)
PEER_TARGETS = (
    (1, peers.LLAMA_CPP, 1.0),
    (1, peers.OPENVINO, 1.0),
    (8, peers.PEFT, 4.0),
    (8, peers.OPENVINO, 1.0),
    (32, peers.PEFT, 3.0),
    (32, peers.OPENVINO, 1.2),
)
"""Rows, peer, how many times faster the engine with adapters should be."""
OWN_TARGETS = ((1, ADAPTERS, 0.97), (8, ADAPTERS, 0.97), (32, ADAPTERS, 0.97), (8, ON_BAND, 0.92), (32, ON_BAND, 0.97))
"""Rows, case, share of the speed without adapters."""

Case = tuple[str, int]
"""A system and its number of rows."""

Plan = tuple[Callable[..., System], tuple[Any, ...]]
"""What makes a system, and from what."""


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    parser = report.parser(__doc__)
    parser.add_argument("--precisions", nargs="+", default=["int4", "fp32"], help="layouts of the engine's weights")
    parser.add_argument("--peers", nargs="*", choices=tuple(PEERS), default=list(PEERS))
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--share", type=float, default=12.0, help="seconds for one system at one number of rows")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    precisions, skipped = known_precisions(given.precisions)
    with tempfile.TemporaryDirectory() as directory:
        plans = make_plans(Path(directory), precisions, given.peers, max(given.rows), given.threads)
        workers, missing = start(plans)
        bench = Bench(workers, given.rows)
        try:
            timings = interleave(bench.cases, given.repeats, given.share)
        finally:
            for worker in workers:
                worker.close()
    skipped |= missing | bench.failed
    timings = {(system, rows): runs for (system, rows), runs in timings.items() if system not in bench.failed}
    rates = {case: of_rates(runs, case[1] * OUTPUT_TOKENS) for case, runs in timings.items()}
    ratios = {p: speedups(timings, case_name(p, ADAPTERS)) for p in precisions}
    checks = [check for p in precisions for check in targets(timings, p)]
    details = {name: text for worker in workers for name, text in worker.details.items()}
    show(rates, ratios, given.rows)
    report.show_checks(checks)
    for name, text in {**details, **{system: f"skipped: {reason}" for system, reason in skipped.items()}}.items():
        print(f"{name}: {text}")
    report.finish(
        "compare",
        given.json,
        config=CONFIG,
        threads=given.threads,
        details=details,
        skipped=skipped,
        results=[{"system": system, "rows": rows, "tokens_s": rate} for (system, rows), rate in rates.items()],
        checks=report.checks_json(checks),
        same_tokens=bench.same_tokens(),
    )


def make_plans(
    directory: Path, precisions: Sequence[str], wanted: Sequence[str], rows: int, threads: int
) -> list[Plan]:
    """Write the adapters, and say how to make each system."""
    base = load_base("fp32")
    middle, band, peft = directory / "middle", directory / "band", directory / "peft"
    write_adapters(base, middle, NUM_ADAPTERS)
    write_adapters(base, band, NUM_ADAPTERS, BAND)
    write_peft_adapters(base, peft, NUM_ADAPTERS)
    common = (prompts(rows), threads)
    plans: list[Plan] = [(engine_system, (*common, precision, middle, band)) for precision in precisions]
    return plans + [(PEERS[peer], (*common, peft) if peer == "peft" else common) for peer in wanted]


def start(plans: Sequence[Plan]) -> tuple[list[Worker], dict[str, str]]:
    """Start one system after the other; also the reasons of those that cannot run."""
    workers, missing = [], {}
    with Console(stderr=True).status("starting") as status:
        for build, arguments in plans:
            status.update(f"starting {build.__name__}")
            try:
                workers.append(Worker(build, *arguments))
            except Absent as reason:
                missing[build.__name__] = str(reason)
    return workers, missing


class Bench:
    """Every system at every number of rows it is run at, and what it said."""

    def __init__(self, workers: Sequence[Worker], row_counts: Sequence[int]) -> None:
        self.cases: dict[Case, Callable[[], float]] = {
            (system, rows): partial(self._run, worker, system, rows)
            for rows in row_counts
            for worker in workers
            for system in worker.cases
            if rows in ONLY_ROWS.get(system, row_counts) and not (rows == 1 and system.endswith(ONLY_BATCHES))
        }
        self.failed: dict[str, str] = {}
        self._said: dict[str, Rows] = {}

    def same_tokens(self) -> dict[str, float]:
        """Share of tokens up to the first that differs from transformers (or PEFT, for adapters) on the same prompts.

        Another layout changes tokens where two are nearly as likely; far below 1 means other weights or adapters.
        """
        shares = {}
        for system, said in self._said.items():
            reference = self._said.get(peers.PEFT if system.endswith(ADAPTERS) else peers.TRANSFORMERS)
            if reference is not None and not system.endswith(ON_BAND):
                rows = list(zip(said, reference, strict=False))
                shares[system] = sum(_equal_lead(*row) for row in rows) / (OUTPUT_TOKENS * len(rows))
        return shares

    def _run(self, worker: Worker, system: str, rows: int) -> float:
        if system in self.failed:
            return 0.0
        try:
            seconds, said = worker.run(system, rows)
        except Absent as reason:
            self.failed[system] = str(reason)
            return 0.0
        if said is not None:
            if [len(tokens) for tokens in said] != [OUTPUT_TOKENS] * rows:
                self.failed[system] = f"it generated {[len(tokens) for tokens in said]} tokens for {rows} rows"
            self._said[system] = said
        return seconds


def speedups(timings: Mapping[Case, Sequence[Timing]], ours: str) -> dict[Case, Interval]:
    """How many times faster ``ours`` was than every other system."""
    return {
        (system, rows): of_speedup(timings[ours, rows], theirs)
        for (system, rows), theirs in timings.items()
        if system != ours and (ours, rows) in timings
    }


def targets(timings: Mapping[Case, Sequence[Timing]], precision: str) -> list[Check]:
    """The targets of one layout, as far as both sides of each were measured."""
    adapted, plain = case_name(precision, ADAPTERS), case_name(precision, NO_ADAPTER)
    wanted = [(rows, adapted, peer, factor) for rows, peer, factor in PEER_TARGETS]
    wanted += [(rows, case_name(precision, case), plain, share) for rows, case, share in OWN_TARGETS]
    return [
        Check(
            f"{rows} row{'s' * (rows > 1)}: {ours} / {other}",
            of_speedup(timings[ours, rows], timings[other, rows]),
            target,
        )
        for rows, ours, other, target in wanted
        if (ours, rows) in timings and (other, rows) in timings
    ]


def show(
    rates: Mapping[Case, Interval], ratios: Mapping[str, Mapping[Case, Interval]], row_counts: Sequence[int]
) -> None:
    """Print both tables."""
    by_rows = [f"{rows} row{'s' * (rows > 1)}" for rows in row_counts]
    report.table(
        f"Output tokens per second, {PROMPT_TOKENS}-token prompts, {OUTPUT_TOKENS} new, prefill included",
        ("system", *by_rows),
        _by_system(rates, row_counts, digits=0),
    )
    for precision, ratio in ratios.items():
        title = f"{case_name(precision, ADAPTERS)}: times faster than, or share of"
        report.table(title, ("system", *by_rows), _by_system(ratio, row_counts, digits=2))


def _by_system(values: Mapping[Case, Interval], row_counts: Sequence[int], digits: int) -> list[tuple[str, ...]]:
    systems = dict.fromkeys(system for system, _ in values)
    return [
        (system, *(values[system, rows].text(digits) if (system, rows) in values else "" for rows in row_counts))
        for system in systems
    ]


def _equal_lead(one: Sequence[int], other: Sequence[int]) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))


if __name__ == "__main__":
    main()
