"""Figures of estimators as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table

from adaptrix_core.training.tasks.families import FAMILIES


def show(title: str, rows: Mapping[str, Mapping[str, float]]) -> None:
    """A table for people."""
    if not rows:
        return
    heads: dict[str, Callable[[Mapping[str, float]], str]] = {
        "n": lambda row: f"{row['answers']:.0f}",
        "AUROC (SE)": lambda row: f"{row['auroc']:.3f} ({row['auroc_se']:.3f})",
        "PRR (SE)": lambda row: f"{row['prr']:.3f} ({row['prr_se']:.3f})",
        "math / logic / code": lambda row: " / ".join(
            f"{row[key]:.2f}" if (key := f"auroc_{name}") in row else "-" for name in FAMILIES
        ),
        "free / hard": lambda row: f"{row['auroc_free']:.2f} / {row['auroc_hard']:.2f}",
        "ECE (floor)": lambda row: f"{row['ece']:.3f} ({row['ece_floor']:.3f})" if "ece" in row else "-",
        "ECE, free": lambda row: f"{row['ece_free']:.3f}" if "ece" in row else "-",
        "coverage at 90 %": lambda row: f"{row['coverage_at_90']:.0%}" if "ece" in row else "-",
    }
    table = Table(title=title)
    for head in ("estimator", *heads):
        table.add_column(head)
    for name, row in rows.items():
        table.add_row(name, *(form(row) for form in heads.values()))
    Console(width=200).print(table)
