"""Output tokens per second: the engine against `transformers.generate` and PEFT's mixed batch, in one run.

Systems take turns within each repetition, so that a noisy machine disturbs all of them alike; the table shows medians
with a 95 % interval of the median (order statistics). Run: ``make bench`` or ``python -m benchmarks.compare --repeats
5``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from benchmarks import workload

System = Callable[[int], None]
"""Generates OUTPUT_TOKENS for each of the given number of rows."""


@dataclass(frozen=True)
class Result:
    """Output tokens per second of one system at one number of rows."""

    system: str
    rows: int
    median: float
    low: float
    high: float


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        systems = build_systems(Path(directory), max(options.rows))
        results = measure(systems, options.rows, options.repeats)
    show(results, options.rows)
    print(json.dumps({"benchmark": "compare", **environment(), "results": [asdict(r) for r in results]}))


def build_systems(directory: Path, max_rows: int) -> dict[str, System]:
    """The systems under measurement, all over the same weights in the same precision."""
    engine = Engine.from_pretrained(
        workload.BASE,
        trust="off",
        options=EngineOptions(max_rows=max_rows, max_batch_tokens=2048, prefix_cache=False),
    )
    plain = workload.load_transformers_model(engine.base.dtype)
    adapted, paths = workload.with_adapters(workload.load_transformers_model(engine.base.dtype), directory)
    for index, path in enumerate(paths):
        engine.load_adapter(path, workload.name(index))
    assert engine.base.tokenizer is not None
    prompts = workload.prompts(engine.base.tokenizer, max_rows)
    params = SamplingParams(max_tokens=workload.OUTPUT_TOKENS, temperature=0.0, ignore_eos=True)
    exactly = {"max_new_tokens": workload.OUTPUT_TOKENS, "min_new_tokens": workload.OUTPUT_TOKENS, "do_sample": False}

    def engine_base(rows: int) -> None:
        engine.generate(prompts[:rows], None, params)

    def engine_adapters(rows: int) -> None:
        engine.generate(prompts[:rows], list(workload.assignment(rows)), params)

    def transformers_base(rows: int) -> None:
        plain.generate(**_inputs(prompts[:rows]), **exactly)

    def peft_mixed(rows: int) -> None:
        adapted.generate(**_inputs(prompts[:rows]), **exactly, adapter_names=list(workload.assignment(rows)))

    return {
        "Adaptrix engine, 8 adapters": engine_adapters,
        "Adaptrix engine, no adapter": engine_base,
        "PEFT mixed batch, 8 adapters": peft_mixed,
        "transformers generate, no adapter": transformers_base,
    }


def measure(systems: dict[str, System], row_counts: list[int], repeats: int) -> list[Result]:
    """One warm-up, then ``repeats`` interleaved timings of each system at each number of rows."""
    seconds: dict[tuple[str, int], list[float]] = {}
    with Progress(transient=True) as progress:
        task = progress.add_task("measuring", total=len(systems) * len(row_counts) * (repeats + 1))
        for repeat in range(repeats + 1):
            for rows in row_counts:
                for system, run in systems.items():
                    began = time.perf_counter()
                    with torch.inference_mode():
                        run(rows)
                    if repeat > 0:
                        seconds.setdefault((system, rows), []).append(time.perf_counter() - began)
                    progress.advance(task)
    return [_result(system, rows, times) for (system, rows), times in seconds.items()]


def show(results: list[Result], row_counts: list[int]) -> None:
    """Print the table."""
    table = Table(
        title=f"Output tokens per second, {workload.PROMPT_TOKENS}-token prompts, {workload.OUTPUT_TOKENS} new"
    )
    table.add_column("system")
    for rows in row_counts:
        table.add_column(f"{rows} row{'s' * (rows > 1)}", justify="right")
    by_key = {(r.system, r.rows): r for r in results}
    for system in dict.fromkeys(r.system for r in results):
        cells = [by_key[system, rows] for rows in row_counts]
        table.add_row(system, *(f"{c.median:.0f}  [{c.low:.0f}, {c.high:.0f}]" for c in cells))
    Console().print(table)


def environment() -> dict[str, object]:
    """What the figures depend on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "config": {
            "base": workload.BASE,
            "layers": workload.LAYERS,
            "modules": workload.MODULES,
            "rank": workload.RANK,
            "prompt_tokens": workload.PROMPT_TOKENS,
            "output_tokens": workload.OUTPUT_TOKENS,
        },
    }


def _inputs(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    ids = torch.tensor(rows)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _result(system: str, rows: int, seconds: list[float]) -> Result:
    rates = sorted(rows * workload.OUTPUT_TOKENS / s for s in seconds)
    # Ranks of the 95 % interval of a median, by the normal approximation of the binomial distribution.
    reach = 0.98 * math.sqrt(len(rates))
    low = max(0, math.floor(len(rates) / 2 - reach))
    high = min(len(rates) - 1, math.ceil(len(rates) / 2 + reach))
    return Result(system, rows, statistics.median(rates), rates[low], rates[high])


if __name__ == "__main__":
    main()
