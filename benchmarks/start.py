"""From a fresh process to the first token: seconds and memory, with disk and caches warm.

    python -m benchmarks.start --precision int4

Each run is a new interpreter that imports the library, loads the base model, and generates one token; the clock starts
before the interpreter does. The first run warms disk and caches, and does not count.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from rich.progress import track

from benchmarks.harness import report
from benchmarks.harness.intervals import of_values
from benchmarks.harness.report import Check

TARGET_S = 8.0
STEPS = ("interpreter and imports", "model loaded", "first token")
"""What has happened when each time is taken."""


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__))
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        print(json.dumps(first_token(given.child, given.precision)))
        return
    runs = [fresh(given.precision) for _ in track(range(given.repeats + 1), "starting", transient=True)][1:]
    results = {what: of_values([run[what] for run in runs]) for what in (*STEPS, "peak memory, MiB")}
    report.table(
        "From the start of a process, seconds",
        ("until", "median"),
        [(what, value.text(0 if "MiB" in what else 2)) for what, value in results.items()],
    )
    checks = [Check("first token, s", results[STEPS[-1]], TARGET_S, at_most=True)]
    report.show_checks(checks)
    report.finish("start", given.json, precision=given.precision, results=results, checks=report.checks_json(checks))


def fresh(precision: str) -> dict[str, float]:
    """One run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.start", "--precision", precision, "--child", str(time.time())]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    times: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return times


def first_token(began: float, precision: str) -> dict[str, float]:
    """Seconds since ``began`` (`time.time`) at each of STEPS, and this process's peak memory."""
    from adaptrix_core import Engine, SamplingParams

    times = {STEPS[0]: time.time() - began}
    engine = Engine.from_pretrained(precision=precision)
    times[STEPS[1]] = time.time() - began
    engine.generate(["Hello"], params=SamplingParams(max_tokens=1, temperature=0.0))
    times[STEPS[2]] = time.time() - began
    return times | {"peak memory, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    main()
