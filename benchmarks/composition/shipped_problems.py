"""Held-out problems of each shipped adapter, asked under any choice of adapters, and their answers marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.training.tasks.families import FAMILIES
from adaptrix_core.training.tasks.problem import Problem
from benchmarks.harness.kept import Kept

NAMES = tuple(FAMILIES)
REPLY = SamplingParams(max_tokens=160, temperature=0.0)
AT_ONCE = 25

ChoiceOf = Callable[[str, Problem], AdapterChoice]
"""Who answers a problem of the adapter that is named first."""


def shares_of(
    engine: Engine, conditions: Mapping[str, ChoiceOf], problems: int, kept: Kept, settings: str
) -> dict[str, dict[str, float]]:
    """By condition, the share of right answers to ``problems`` problems of each adapter. Prints them as they come.

    settings: what else the figures depend on; a part of the keys under which they are kept.
    """
    shares: dict[str, dict[str, float]] = {}
    for condition, of in conditions.items():
        shares[condition] = {
            name: kept.once(
                f"{settings} {condition} {name}",
                lambda of=of, name=name: _right(engine, name, problems, of),  # type: ignore[misc]
            )
            for name in NAMES
        }
        _print(condition, shares[condition], problems)
    return shares


def _right(engine: Engine, name: str, count: int, of: ChoiceOf) -> float:
    problems = FAMILIES[name].held_out(count)
    replies: list[str] = []
    for start in range(0, len(problems), AT_ONCE):
        asked = problems[start : start + AT_ONCE]
        prompts = [[{"role": "user", "content": problem.question}] for problem in asked]
        replies += [reply.text for reply in engine.generate(prompts, [of(name, problem) for problem in asked], REPLY)]
    tasks = {task.name: task for task in FAMILIES[name].tasks}
    marks = [tasks[p.task].score([p], [reply])[0] for p, reply in zip(problems, replies, strict=True)]
    return sum(marks) / len(problems)


def _print(condition: str, shares: Mapping[str, float], problems: int) -> None:
    mean = sum(shares.values()) / len(shares)
    error = math.sqrt(sum(share * (1 - share) for share in shares.values()) / problems) / len(shares)
    told = "  ".join(f"{name} {share:6.1%}" for name, share in shares.items())
    print(f"{condition:26} {told}   all {mean:6.1%} ± {error:.1%}", flush=True)
