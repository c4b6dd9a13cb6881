"""Throughput with a thousand registered adapters of which 32 fit on the device, on S-LoRA's request generator.

    python -m benchmarks.many_adapters --precision int4

Traces that differ only in which adapters are asked for take turns on one engine: five adapters, and as many as are
registered, under several skews (alpha 1 is uniform). All adapters are in host memory, as in S-LoRA; a request for one
that is not on the device waits for its slot. Prompt and output lengths are S-LoRA's `U[8, 512)` cut down to what a CPU
computes in the time (``--longest``), and requests arrive faster than they can be served.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.progress import track

from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.engine.compute.backend import backend_of
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.injection.mix import constant
from benchmarks.harness import report
from benchmarks.harness.interleave import interleave
from benchmarks.harness.intervals import Interval, of_rates, of_speedup
from benchmarks.harness.report import Check
from benchmarks.harness.trace import Request, generate
from benchmarks.harness.workload import (
    CONFIG,
    load_base,
    make_engine,
    name,
    random_adapters,
    random_tokens,
    write_adapters,
)

SHORTEST, FEW = 8, 5
TARGET, TARGET_ALPHA = 0.90, 0.3
"""Share of the throughput with few adapters, for this skew and stronger ones."""

ENDLESS = 1_000_000
"""Rows that may wait. Requests of the trace arrive faster than they can be served, and none may be refused."""

Case = tuple[int, float]
"""Number of adapters that may be asked for, and alpha."""


@dataclass(frozen=True)
class Row:
    """One trace."""

    adapters: int
    alpha: float
    distinct: int
    """Adapters that were in fact asked for."""
    tokens_s: Interval
    share: Interval
    """Of the throughput with few adapters."""


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__, repeats=3))
    parser.add_argument("--adapters", type=int, default=1000, help="registered (default: %(default)s)")
    parser.add_argument("--slots", type=int, default=32, help="that fit on the device (default: %(default)s)")
    parser.add_argument("--alphas", type=float, nargs="+", default=[1.0, 0.3, 0.1])
    parser.add_argument("--counts", type=int, nargs="*", default=[100], help="further numbers of adapters, at alpha 1")
    parser.add_argument("--requests", type=int, default=96)
    parser.add_argument("--longest", type=int, default=64, help="prompt and output tokens (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second (default: %(default)s)")
    given = parser.parse_args()
    few = (min(FEW, given.adapters), 1.0)
    wanted = [few, *((count, 1.0) for count in given.counts), *((given.adapters, alpha) for alpha in given.alphas)]
    lengths = (SHORTEST, given.longest)
    traces = {case: generate(given.requests, *case, given.rate, lengths) for case in wanted}
    base = load_base(given.precision)
    with tempfile.TemporaryDirectory() as directory:
        engine = registered(base, Path(directory), given.adapters, given.slots)
        replay = Replay(engine)
        timings = interleave({case: partial(replay, trace) for case, trace in traces.items()}, given.repeats)
    rows = [
        Row(
            *case,
            len({request.adapter for request in trace}),
            of_rates(timings[case], sum(request.output_tokens for request in trace)),
            of_speedup(timings[case], timings[few]),
        )
        for case, trace in traces.items()
    ]
    checks = [
        Check(f"{row.adapters} adapters, alpha {row.alpha:g}, of {few[0]} adapters", row.share, TARGET)
        for row in rows
        if row.adapters == given.adapters and row.alpha <= TARGET_ALPHA
    ]
    show(rows, given.slots)
    report.show_checks(checks)
    report.finish(
        "many_adapters",
        given.json,
        config={**CONFIG, "slots": given.slots, "requests": given.requests, "lengths": lengths, "rate": given.rate},
        precision=given.precision,
        dtype=base.info.dtype,
        results=rows,
        checks=report.checks_json(checks),
    )


def registered(base: BaseModel, directory: Path, count: int, slots: int) -> Engine:
    """An engine that knows ``count`` adapters, with room for ``slots`` of them on the device."""
    _, weights = next(random_adapters(base, 1))
    engine = make_engine(
        base,
        directory,
        EngineOptions(prefix_cache=False, max_queue=ENDLESS, max_wait_s=None),
        device_budget_bytes=slots * backend_of(base, EngineOptions()).injector.device_bytes(weights),
        host_budget_bytes=2 * count * weights.nbytes,
    )
    write_adapters(base, directory, count)
    for number in track(range(count), f"registering {count} adapters", transient=True):
        engine.load_adapter(name(number))
    return engine


class Replay:
    """Sends a trace to an engine, each request when its time has come."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._number = 0

    def __call__(self, trace: Sequence[Request]) -> float:
        """Seconds from the first arrival to the last token."""
        waiting = [(request.arrival, self._request(request)) for request in reversed(trace)]
        generated, began = self._engine.num_tokens_generated, time.perf_counter()
        while waiting or self._engine.has_work:
            while waiting and waiting[-1][0] <= time.perf_counter() - began:
                self._engine.add(waiting.pop()[1])
            if self._engine.has_work:
                self._engine.step()
            else:
                time.sleep(max(0.0, waiting[-1][0] - (time.perf_counter() - began)))
        seconds = time.perf_counter() - began
        wanted = sum(request.output_tokens for request in trace)
        assert self._engine.num_tokens_generated - generated == wanted, "some request ended early"
        return seconds - trace[0].arrival

    def _request(self, request: Request) -> GenerationRequest:
        self._number += 1
        params = SamplingParams(max_tokens=request.output_tokens, temperature=0.0, ignore_eos=True)
        prompt = random_tokens(request.prompt_tokens, self._number, self._engine.base.info.vocab_size)
        mix = self._engine.resolve_mix(name(request.adapter))
        return GenerationRequest(f"trace-{self._number}", tuple(prompt), params, (constant(mix),))


def show(rows: Sequence[Row], slots: int) -> None:
    """Print the table."""
    report.table(
        f"Output tokens per second, {slots} adapters fit on the device",
        ("registered adapters", "alpha", "asked for", "tokens per second", "of the first row"),
        [
            (str(row.adapters), f"{row.alpha:g}", str(row.distinct), row.tokens_s.text(), row.share.text(2))
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
