"""What every benchmark has in common: its options, its tables, what its figures depend on, and its last line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness.intervals import Interval

FILE_WIDTH = 140

Verdict = Literal["met", "missed", "within noise"]


@dataclass(frozen=True)
class Check:
    """A measured figure against what it should be."""

    what: str
    measured: Interval
    target: float
    at_most: bool = False
    """Whether smaller is better."""

    @property
    def verdict(self) -> Verdict:
        """Met or missed with the whole interval, or neither."""
        low, high = (self.measured.low, self.measured.high)
        if self.at_most:
            return "met" if high <= self.target else "missed" if low > self.target else "within noise"
        return "met" if low >= self.target else "missed" if high < self.target else "within noise"


def parser(description: str | None, repeats: int = 5) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeats", type=int, default=repeats, help="runs of each case (default: %(default)s)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the last line to this file as well")
    return made


def with_precision(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add ``--precision``."""
    made.add_argument("--precision", default="auto", help="weights of the base model (default: %(default)s)")
    return made


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are figures."""
    made = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index else "left")
    for row in rows:
        made.add_row(*row)
    # A file or a pipe has no width of its own, and names must not be cut there.
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(made)


def show_checks(checks: Sequence[Check], digits: int = 2) -> None:
    """Print what was wanted, what was measured, and whether it is met."""
    if checks:
        rows = [
            (c.what, f"{'at most' if c.at_most else 'at least'} {c.target:.4g}", c.measured.text(digits), c.verdict)
            for c in checks
        ]
        table("Targets", ("what", "target", "measured", "verdict"), rows)


def checks_json(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """The checks as JSON values."""
    return [asdict(check) | {"verdict": check.verdict} for check in checks]


def finish(benchmark: str, file: Path | None, **content: Any) -> None:
    """Print everything as one line of JSON, and write it to ``file`` if one is given."""
    line = json.dumps({"benchmark": benchmark, **environment(), **content}, default=_plain)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(line + "\n")
    print(line)


def environment() -> dict[str, object]:
    """What the figures depend on."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.is_file() else []
    return names[0].partition(":")[2].strip() if names else platform.processor() or platform.machine()


def _plain(value: object) -> Mapping[str, Any] | str:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)
