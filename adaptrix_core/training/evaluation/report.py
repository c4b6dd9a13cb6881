"""An evaluation as a table for people and as JSON for programs."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from adaptrix_core.training.evaluation.evaluate import Evaluation
from adaptrix_core.training.evaluation.scoring import FEW_SHOT, ROUTED, ZERO_SHOT, FamilyResult, Score


def tables(evaluation: Evaluation) -> list[Table]:
    """One table per family (conditions down, tasks across), then one for the router."""
    made = [family_table(result) for result in evaluation.held_out]
    if evaluation.to_base is not None:
        made.append(_routing_table(evaluation))
    return made


def family_table(result: FamilyResult) -> Table:
    """Shares in percent with their 95 % intervals."""
    tasks = list(result.scores[result.family])
    table = Table(title=f"{result.family}: held-out problems right, % (95 % interval)")
    table.add_column("condition")
    for column in (*tasks, "all"):
        table.add_column(column, justify="right")
    for condition, scores in result.scores.items():
        label = condition
        if condition == result.family:
            label = f"{condition} (this adapter)"
        elif condition not in (ZERO_SHOT, FEW_SHOT, ROUTED):
            label = f"{condition} (wrong adapter)"
        table.add_row(label, *(percent(scores[task]) for task in tasks), percent(result.total(condition)))
    if ZERO_SHOT in result.scores:
        lead = result.lead_over_base()
        table.add_row(
            "lead over the better base, points", *(f"{lead[task]:+.0f}" for task in tasks), f"{lead['mean']:+.0f}"
        )
    return table


def percent(score: Score) -> str:
    """``"83 (77-88)"``."""
    low, high = score.interval
    return f"{100 * score.share:.0f} ({100 * low:.0f}-{100 * high:.0f})"


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Counts, shares, intervals and leads; JSON values only, replies left out."""
    return {
        "held_out": {r.family: family_json(r) for r in evaluation.held_out},
        "paraphrases": {r.family: family_json(r) for r in evaluation.paraphrased},
        "out_of_scope_to_base": None if evaluation.to_base is None else score_json(evaluation.to_base),
    }


def metrics_of(evaluation: Evaluation, adapter: str) -> dict[str, Any]:
    """An adapter's quality for its metadata: `as_json` of its own family."""
    everything = as_json(evaluation)
    return {"held_out": everything["held_out"][adapter], "paraphrases": everything["paraphrases"][adapter]}


def family_json(result: FamilyResult) -> dict[str, Any]:
    """One family: condition -> task (and "all") -> score, the router's choices, the lead over the base."""
    conditions = {
        condition: {
            **{task: score_json(score) for task, score in scores.items()},
            "all": score_json(result.total(condition)),
        }
        for condition, scores in result.scores.items()
    }
    made: dict[str, Any] = {"conditions": conditions}
    if result.choices:
        made["router_chose"] = dict(sorted(result.choices.items()))
    if ZERO_SHOT in result.scores:
        made["lead_over_base_points"] = {name: round(lead, 1) for name, lead in result.lead_over_base().items()}
    return made


def score_json(score: Score) -> dict[str, Any]:
    """Right, total, share and the interval."""
    low, high = score.interval
    return {
        "right": score.right,
        "total": score.total,
        "share": round(score.share, 4),
        "ci95": [round(low, 4), round(high, 4)],
    }


def _routing_table(evaluation: Evaluation) -> Table:
    table = Table(title="Routed against the right adapter alone: problems right, % (95 % interval)")
    for column in ("family", "held-out, adapter", "held-out, routed", "paraphrases, adapter", "paraphrases, routed"):
        table.add_column(column, justify="left" if column == "family" else "right")
    for held, written in zip(evaluation.held_out, evaluation.paraphrased, strict=True):
        pairs = ((held, held.family), (held, ROUTED), (written, held.family), (written, ROUTED))
        table.add_row(held.family, *(percent(result.total(condition)) for result, condition in pairs))
    assert evaluation.to_base is not None
    table.caption = f"out-of-scope prompts left to the base: {percent(evaluation.to_base)}"
    return table
