"""Plots of saved measurements: throughput over rows, and over the number of adapters.

    python -m benchmarks.plots runs/bench --out docs/images

Reads what `compare` and `many_adapters` wrote with ``--json``, and writes one PNG for each.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Saved = Mapping[str, Any]
"""A benchmark's last line."""

Points = dict[str, list[tuple[int, dict[str, float]]]]
"""By line: a place on the horizontal axis, and an interval."""


def main() -> None:
    """Draw what there is; say what there is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="where the benchmarks' JSON files are")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for benchmark, draw in (("compare", over_rows), ("many_adapters", over_adapters)):
        file = given.directory / f"{benchmark}.json"
        if not file.is_file():
            print(f"no {file}: run python -m benchmarks.{benchmark} --json {file}")
            continue
        figure = Figure(figsize=(8, 5), layout="constrained")
        saved = json.loads(file.read_text())
        draw(figure.add_subplot(), saved)
        figure.text(0.01, 0.005, f"{saved['cpu']}, {saved['cores']} cores, commit {saved['commit']}", fontsize=7)
        figure.savefig(given.out / f"{benchmark}.png", dpi=150)
        print(f"wrote {given.out / f'{benchmark}.png'}")


def over_rows(axes: Axes, saved: Saved) -> None:
    """Tokens per second of every system over the number of rows."""
    points: Points = defaultdict(list)
    for result in saved["results"]:
        points[result["system"]].append((result["rows"], result["tokens_s"]))
    _lines(axes, points)
    axes.set(xlabel="rows", title="Output tokens per second, 42-token prompts, 48 new, prefill included")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")


def over_adapters(axes: Axes, saved: Saved) -> None:
    """Tokens per second over the number of adapters asked for, one line per skew."""
    points: Points = defaultdict(list)
    for result in saved["results"]:
        points[f"alpha {result['alpha']:g}"].append((result["adapters"], result["tokens_s"]))
    _lines(axes, points)
    slots = saved["config"]["slots"]
    axes.set(xlabel="adapters that requests choose from", title=f"S-LoRA's traces, {slots} adapters fit on the device")
    axes.set_ylim(bottom=0)


def _lines(axes: Axes, points: Points) -> None:
    for label, values in points.items():
        ordered = sorted(values, key=lambda value: value[0])
        places = [place for place, _ in ordered]
        medians = [interval["median"] for _, interval in ordered]
        errors = [
            [interval["median"] - interval["low"] for _, interval in ordered],
            [interval["high"] - interval["median"] for _, interval in ordered],
        ]
        axes.errorbar(places, medians, yerr=errors, marker="o", capsize=3, label=label)
    axes.set_xscale("log", base=2)
    ticks = sorted({place for values in points.values() for place, _ in values})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylabel("output tokens per second")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
