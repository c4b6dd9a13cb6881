"""Sweeps as pictures: one file per axis, in it throughput, first token, hit rate and SLO attainment by policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.simulation.cases import AXES, LOGARITHMIC, Case, on_axis
from loadtest.records import Summary

PANELS = (
    ("tokens_per_s", "output tokens per second"),
    ("first_token_p99_s", "p99 first token, s"),
    ("hit_rate", "adapter hit rate"),
    ("slo_attainment", "SLO attainment"),
)
SHARES = {"hit_rate", "slo_attainment"}
LOGARITHMIC_VALUES = {"tokens_per_s", "first_token_p99_s"}


@dataclass(frozen=True)
class Result:
    """What one policy did in one case."""

    case: Case
    policy: str
    summary: Summary


def draw(results: Sequence[Result], centre: Case, directory: Path, title: str) -> list[Path]:
    """Write ``scaling-<axis>.png`` for each axis with more than one value; returns the paths."""
    written = []
    for axis in AXES:
        shown = [result for result in results if on_axis(result.case, centre, axis)]
        if len({getattr(result.case, axis) for result in shown}) > 1:
            path = directory / f"scaling-{axis.removesuffix('_s')}.png"
            _draw_axis(shown, axis, path, f"{title}\n{_held(centre, axis)}")
            written.append(path)
    return written


def _draw_axis(results: Sequence[Result], axis: str, path: Path, title: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.5), layout="constrained")
    panels = figure.subplots(2, 2).flat
    for panel, (field, label) in zip(panels, PANELS, strict=True):
        for policy, marker in zip(dict.fromkeys(r.policy for r in results), "osv^Dx", strict=False):
            line = sorted((getattr(r.case, axis), getattr(r.summary, field)) for r in results if r.policy == policy)
            panel.plot(*zip(*line, strict=True), marker=marker, markersize=5, label=policy)
        panel.set(xlabel=AXES[axis], ylabel=label)
        if axis in LOGARITHMIC:
            panel.set_xscale("log")
        if field in SHARES:
            panel.set_ylim(-0.03, 1.03)
        elif field in LOGARITHMIC_VALUES:
            panel.set_yscale("log")
        panel.grid(alpha=0.3)
    figure.axes[0].legend()
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _held(centre: Case, axis: str) -> str:
    others = [f"{name} {getattr(centre, name):g}" for name in AXES if name != axis]
    return ", ".join(others)
