"""How far the shipped adapters move the base model's states, attention and predictions.

    python -m benchmarks.context.drift --precision int4

Prompts are an adapter's own held-out problems, those of the others, and prompts that no adapter should answer, each as
a user's message in the chat template. Quantiles are over prompts. Ends with one line of JSON.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import torch
from rich.progress import track

from adaptrix_core.context.validator import ContextValidator
from adaptrix_core.engine import Engine
from adaptrix_core.training.tasks.families import FAMILIES
from benchmarks.context.prompts import Messages, engine_of, kinds_of_prompts, parser
from benchmarks.context.rows import RememberedRows
from benchmarks.harness import report

QUANTILES = (0.05, 0.5, 0.95)
SIMILARITIES, CONFLICTS = (0.8, 0.7), (0.5, 0.7)
"""Thresholds whose shares of prompts are counted."""


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    given = parser(__doc__, 24).parse_args()
    engine, rows = engine_of(given), RememberedRows(given.rows)
    mixes: list[dict[str, float]] = [{name: 1.0} for name in FAMILIES]
    mixes += [dict.fromkeys(pair, 0.5) for pair in combinations(FAMILIES, 2)]
    strong = [*({name: 2.0} for name in FAMILIES), dict.fromkeys(FAMILIES, 1.0)]
    wanted = [(mix, *found) for mix in mixes for found in kinds_of_prompts(mix, given.prompts)]
    wanted += [(mix, *next(kinds_of_prompts(mix, given.prompts))) for mix in strong]
    found = [
        rows.row(
            {"mix": "+".join(f"{name}*{weight:g}" for name, weight in mix.items()), "prompts": kind},
            partial(drift_of, engine, mix, prompts),
        )
        for mix, kind, prompts in track(wanted, "mixes")
    ]
    show(found)
    report.finish("context drift", given.json, layout=engine.base.layout, prompts=given.prompts, results=found)


def drift_of(engine: Engine, mix: Mapping[str, float], prompts: Sequence[Messages]) -> dict[str, Any]:
    """Quantiles over prompts of what the validator reports of a mix."""
    reports = [ContextValidator(engine).compare(prompt, mix) for prompt in prompts]
    by_layer = [list(found.layer_similarity.values()) for found in reports]
    lowest, inner = [min(values) for values in by_layer], [min(values[:-1]) for values in by_layer]
    conflicts = [pair.largest for found in reports for pair in found.conflicts]
    return {
        "number": len(prompts),
        "lowest_layer": quantiles(lowest),
        "lowest_inner_layer": quantiles(inner),
        "below": [share(value < limit for value in lowest) for limit in SIMILARITIES],
        "inner_below": [share(value < limit for value in inner) for limit in SIMILARITIES],
        "attention": quantiles([float(f.attention_drift.mean()) for f in reports if f.attention_drift is not None]),
        "divergence": quantiles([float(found.divergence.mean()) for found in reports]),
        "agreement": quantiles([float(found.agreement.float().mean()) for found in reports]),
        "conflict": quantiles(conflicts) if conflicts else None,
        "above": [share(value > limit for value in conflicts) for limit in CONFLICTS] if conflicts else None,
        "mean_by_layer": [round(statistics.fmean(column), 4) for column in zip(*by_layer, strict=True)],
    }


def quantiles(values: Sequence[float]) -> list[float]:
    """At `QUANTILES`."""
    at = torch.tensor(QUANTILES, dtype=torch.float64)
    return [round(value, 4) for value in torch.tensor(values, dtype=torch.float64).quantile(at).tolist()]


def share(are: Iterable[bool]) -> float:
    """Of those that are, of 1."""
    return round(statistics.fmean(float(value) for value in are), 4)


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Medians, with the 5 % and 95 % quantiles in brackets; then shares beyond thresholds."""

    def text(values: Sequence[float] | None) -> str:
        return "-" if values is None else f"{values[1]:.2f} [{values[0]:.2f} {values[2]:.2f}]"

    def shares(values: Sequence[float] | None) -> str:
        return "-" if values is None else ", ".join(f"{value:.2f}" for value in values)

    keys = ("lowest_layer", "lowest_inner_layer", "attention", "divergence", "agreement", "conflict")
    counted = ("below", "inner_below", "above")
    for row in rows:
        print(f"{row['mix']}, {row['prompts']}: ", *(f"{key} {text(row[key])}" for key in keys), sep="  ")
    report.table(
        f"Shares of prompts below a similarity of {SIMILARITIES}, above a conflict of {CONFLICTS}",
        ("mix, prompts", "some layer", "but the last", "conflict"),
        [(f"{row['mix']}, {row['prompts']}", *(shares(row[key]) for key in counted)) for row in rows],
    )


if __name__ == "__main__":
    main()
