"""What anchoring changes in right answers: the shipped adapters on their own held-out problems, with and without it.

    python -m benchmarks.context.anchoring --precision int4

Answers are greedy, of at most 128 tokens. Standard errors of shares are binomial, those of differences are of the
paired differences. Ends with one line of JSON.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from rich.progress import track
from torch import Tensor

from adaptrix_core.config.context_section import ContextSettings
from adaptrix_core.context.anchoring import AnchorBy, AnchoredMix, anchored_where
from adaptrix_core.context.validator import ContextValidator
from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.injection.mix import MixSchedule, Term, constant
from adaptrix_core.training.tasks.families import FAMILIES, TaskFamily
from adaptrix_core.training.tasks.problem import Problem
from benchmarks.context.prompts import asked, engine_of, parser
from benchmarks.context.rows import RememberedRows
from benchmarks.harness import report

MAX_TOKENS = 128


@dataclass(frozen=True)
class Anchor:
    """One way of anchoring that is measured."""

    by: AnchorBy
    similarity: float
    factor: float

    def __str__(self) -> str:
        return f"{self.by} below {self.similarity:g}, weights * {self.factor:g}"


ANCHORS = (
    Anchor("layer", 0.8, 0.5),
    Anchor("layer", 0.95, 0.5),
    Anchor("layer", 0.95, 0.0),
    Anchor("layer", 0.98, 0.5),
    Anchor("token", 0.9, 0.5),
)


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    given = parser(__doc__, 60).parse_args()
    engine, rows = engine_of(given), RememberedRows(given.rows)
    found = []
    for name, family in FAMILIES.items():
        problems = family.held_out(given.prompts)
        off = rows.row(
            {"adapter": name, "anchor": "off"},
            partial(unanchored, engine, family, problems),
        )
        found.append(off)
        similarities = cache(partial(similarities_of, engine, name, problems))  # not needed where all rows are known
        for anchor in track(ANCHORS, name):
            found.append(
                rows.row(
                    {"adapter": name, "anchor": str(anchor)},
                    partial(measured, engine, family, problems, similarities, anchor, off["marks"]),
                )
            )
    show(found)
    report.finish(
        "context anchoring", given.json, layout=engine.base.layout, problems=given.prompts, results=summaries(found)
    )


def similarities_of(engine: Engine, name: str, problems: Sequence[Problem]) -> list[Tensor]:
    """To the base model, of each question under the adapter as it is."""
    validator = ContextValidator(engine)
    return [validator.similarity(asked(problem.question), name) for problem in track(problems, f"{name}: similarity")]


def unanchored(engine: Engine, family: TaskFamily, problems: Sequence[Problem]) -> dict[str, Any]:
    """Marks of a family's problems under its adapter as it is."""
    schedules = [constant(engine.resolve_mix(family.name))] * len(problems)
    return {"acted": 0, "marks": marks_of(family, problems, replies(engine, family.name, problems, schedules))}


def measured(
    engine: Engine,
    family: TaskFamily,
    problems: Sequence[Problem],
    similarities: Callable[[], list[Tensor]],
    anchor: Anchor,
    whole: Sequence[bool],
) -> dict[str, Any]:
    """Marks of a family's problems under its anchored adapter; those that it leaves alone are not answered again."""
    settings = ContextSettings(similarity=anchor.similarity, anchor_factor=anchor.factor)
    terms = (Term(family.name),)
    mixes = [anchored_where(engine, found, terms, anchor.by, settings) for found in similarities()]
    acting = [place for place, mix in enumerate(mixes) if acts(engine, mix)]
    changed = [problems[place] for place in acting]
    said = replies(engine, family.name, changed, [mixes[place].resolved(engine) for place in acting])
    marks = dict(zip(acting, marks_of(family, changed, said), strict=True))
    return {"acted": len(acting), "marks": [marks.get(place, mark) for place, mark in enumerate(whole)]}


def acts(engine: Engine, mix: AnchoredMix) -> bool:
    """Whether anchoring changes a weight at a layer that is adapted."""
    return any(
        term.weight_at(layer) != 1.0
        for _, terms in mix.schedule
        for term in terms
        for layer in engine.loader.load(term.adapter).weights.layers
    )


def replies(engine: Engine, name: str, problems: Sequence[Problem], schedules: Sequence[MixSchedule]) -> list[str]:
    """Greedy answers, all in one running batch, each under its own schedule."""
    params = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0).with_defaults(engine.sampling_defaults(name))
    texts = {str(place): "" for place in range(len(problems))}
    for place, (problem, schedule) in enumerate(zip(problems, schedules, strict=True)):
        prompt = engine.encode(asked(problem.question))
        engine.add(GenerationRequest(str(place), prompt, params, schedules=(schedule,)))
    while engine.has_work:
        for event in engine.step():
            texts[event.request_id] += event.text
    return list(texts.values())


def marks_of(family: TaskFamily, problems: Sequence[Problem], said: Sequence[str]) -> list[bool]:
    """Whether each reply is right, by its task's own scorer."""
    marks: dict[int, bool] = {}
    for task in family.tasks:
        places = [place for place, problem in enumerate(problems) if problem.task == task.name]
        scored = task.score([problems[i] for i in places], [said[i] for i in places]) if places else []
        marks |= dict(zip(places, map(bool, scored), strict=True))
    return [marks[place] for place in range(len(problems))]


def summaries(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shares of right answers and their differences to the same adapter without anchoring, with standard errors."""
    found = []
    off = {row["adapter"]: row["marks"] for row in rows if row["anchor"] == "off"}
    for row in rows:
        marks = [float(mark) for mark in row["marks"]]
        share, count = statistics.fmean(marks), len(marks)
        differences = [after - before for before, after in zip(off[row["adapter"]], marks, strict=True)]
        found.append(
            {key: row[key] for key in ("adapter", "anchor", "acted")}
            | {"right": int(sum(marks)), "total": count, "share": round(share, 4)}
            | {"share_se": round(math.sqrt(share * (1 - share) / count), 4)}
            | {"difference": round(statistics.fmean(differences), 4)}
            | {"difference_se": round(statistics.stdev(differences) / math.sqrt(count), 4)}
        )
    return found


def show(rows: Sequence[dict[str, Any]]) -> None:
    """One row for each adapter and way of anchoring."""
    report.table(
        "Right answers to held-out problems",
        ("adapter, anchoring", "changes the mix of", "right, % (SE)", "against none, points (SE)"),
        [
            (
                f"{row['adapter']}, {row['anchor']}",
                f"{row['acted']} of {row['total']}",
                f"{100 * row['share']:.0f} ({100 * row['share_se']:.0f})",
                f"{100 * row['difference']:+.0f} ({100 * row['difference_se']:.0f})",
            )
            for row in summaries(rows)
        ],
    )


if __name__ == "__main__":
    main()
