"""Labels of answers and `min_confidence`, simulated: the gain where questions differ, and what false labels cost.

    python -m benchmarks.confidence.feedback

Confidences are drawn, and answers are right as often as they say, shifted in log-odds: somebody's questions are harder
or easier than those of the calibration. ``at_least`` is held against the confidence, before and after 50 labels drawn
alike. What is wanted is that the least sure answers that are given, those at the threshold, are right as often as
``at_least`` says. No model is asked.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from adaptrix_core.confidence.feedback import AnswerLabel, threshold_for, thresholds_moved

AT_LEAST, LABELS, RUNS = 0.7, 50, 400
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
"""By how much lower the chance to be right is than the confidence says, in log-odds."""
_HELD_OUT = 4000


def main() -> None:
    """Simulate, print the table, end with a line of JSON."""
    rng = np.random.default_rng(0)
    rows = {f"{shift:+.1f}": _case(rng, shift, None) for shift in SHIFTS}
    rows["0.0, all labels say right"] = _case(rng, 0.0, True)
    rows["0.0, all labels say wrong"] = _case(rng, 0.0, False)
    columns = (
        "threshold",
        "threshold_sd",
        "right_at_it_before",
        "right_at_it",
        "given_before",
        "given",
    )
    table = Table(title=f"at_least {AT_LEAST}, {LABELS} labels, mean of {RUNS}")
    for head in ("questions harder by", *columns):
        table.add_column(head)
    for name, row in rows.items():
        table.add_row(name, *(f"{row[column]:.3f}" for column in columns))
    Console(width=160).print(table)
    print(json.dumps({"benchmark": "confidence-feedback", "at_least": AT_LEAST, "labels": LABELS, "cases": rows}))


def _case(rng: np.random.Generator, shift: float, said: bool | None) -> dict[str, float]:
    """said: what every label says; None: the truth."""
    thresholds = []
    for _ in range(RUNS):
        odds = _odds(rng, LABELS)
        right = rng.random(LABELS) < _chance(odds - shift)
        labels = [
            AnswerLabel("a", float(_chance(o)), bool(r) if said is None else said)
            for o, r in zip(odds, right, strict=True)
        ]
        thresholds.append(threshold_for(AT_LEAST, thresholds_moved(labels), "a"))
    limits = np.array(thresholds)
    confidences = _chance(_odds(rng, _HELD_OUT))
    return {
        "threshold": float(limits.mean()),
        "threshold_sd": float(limits.std(ddof=1)),
        "right_at_it_before": float(_chance(np.log(AT_LEAST / (1 - AT_LEAST)) - shift)),
        "right_at_it": float(_chance(np.log(limits / (1 - limits)) - shift).mean()),
        "given_before": float((confidences >= AT_LEAST).mean()),
        "given": float((confidences[:, None] >= limits).mean()),
    }


def _odds(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Of confidences that spread as those of the shipped adapters do: half of them above 0.6."""
    return rng.normal(0.4, 1.5, count)


def _chance(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-odds)))


if __name__ == "__main__":
    main()
