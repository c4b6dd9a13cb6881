"""What a system takes of the machine while nobody asks it anything, process by process.

    python -m benchmarks.service.idle

A system of `serve_config.yaml` is started as `make serve` does and left alone.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.progress import Progress

from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, of_values
from loadtest.system import read_config, serving

SETTLE_S, WINDOW_S = 20.0, 20.0
"""After the start, Ray still ends workers that it does not need."""


@dataclass(frozen=True)
class Row:
    """One process, or all of them."""

    process: str
    percent_of_a_core: Interval


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.parser(__doc__, repeats=3)
    parser.add_argument("--config", type=Path, default=Path("serve_config.yaml"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Progress(transient=True) as progress:
        task = progress.add_task("measuring", total=1 + given.repeats)
        with serving(read_config(given.config, Path(name)), Path(name)):
            time.sleep(SETTLE_S)
            progress.advance(task)
            windows = []
            for _ in range(given.repeats):
                windows.append(window())
                progress.advance(task)
    names = sorted({name for window in windows for name in window}, key=lambda name: -windows[0][name])
    rows = [Row("all", of_values([sum(window.values()) for window in windows]))]
    rows += [Row(process, of_values([window[process] for window in windows])) for process in names]
    report.table(
        "An idle system",
        ("process", "% of a core"),
        [(row.process, row.percent_of_a_core.text(2)) for row in rows],
    )
    report.finish("idle", given.json, results=rows)


def window() -> defaultdict[str, float]:
    """Percent of a core that each process of the measured system took for WINDOW_S seconds, by its title."""
    before, began = cpu_seconds(), time.perf_counter()
    time.sleep(WINDOW_S)
    after, took = cpu_seconds(), time.perf_counter() - began
    percent: defaultdict[str, float] = defaultdict(float)
    for process, seconds in after.items():
        percent[title(process)] += 100 * (seconds - before.get(process, 0.0)) / took
    return percent


def cpu_seconds() -> dict[psutil.Process, float]:
    """What each process that this one has started has computed so far, itself and its threads."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[child] = times.user + times.system
    return found


def title(process: psutil.Process) -> str:
    """What Ray calls the process, or the program that it runs."""
    try:
        command = process.cmdline()
    except psutil.NoSuchProcess:
        return "ended"
    if command and command[0].startswith("ray::"):
        return command[0].partition(".")[0]  # what follows is the method that runs at the moment
    programs = [part for part in command if part.endswith(".py") or part == "deployments.launch"]
    return "/".join(Path(programs[0] if programs else command[0] if command else process.name()).parts[-2:])


if __name__ == "__main__":
    main()
