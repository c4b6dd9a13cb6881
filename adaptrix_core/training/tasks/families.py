"""The task families that adapters are trained for, and their held-out problems.

One adapter learns one family. Held-out problems come from seeds of their own, and no training problem shares a
key (so no expression, family, syllogism or combination of operations) with a held-out one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from adaptrix_core.errors import ConfigError
from adaptrix_core.training.tasks.code import code_tasks
from adaptrix_core.training.tasks.logic import AliceInWonderland, FamilyRelationships, Syllogism
from adaptrix_core.training.tasks.math import ChainSum, LegCounting, SimpleEquations
from adaptrix_core.training.tasks.problem import Problem, Task

HELD_OUT_SEED = 10_000_000
HELD_OUT_PER_TASK = 100
EXAMPLE_SEED = 20_000_000


@dataclass(frozen=True)
class TaskFamily:
    """Tasks that one adapter learns together; the adapter has the family's name."""

    name: str
    tasks: tuple[Task, ...]
    practice: tuple[int, ...]
    """Relative number of training problems of each task: more for tasks that are harder to learn."""
    runs_replies: bool = False
    """Whether replies are code, which is run to mark them."""

    def held_out(self, count: int) -> list[Problem]:
        """``count`` problems spread evenly over the tasks, the same ones every time; no two of a task share a key."""
        per_task = _spread(count, (1,) * len(self.tasks))
        return [p for task, n in zip(self.tasks, per_task, strict=True) for p in _held_out(task)[:n]]

    def training(self, count: int, seed: int) -> list[Problem]:
        """``count`` problems, shared out by ``practice``, none with a held-out key, no question twice."""
        problems = []
        for task, wanted in zip(self.tasks, _spread(count, self.practice), strict=True):
            problems.extend(_training(task, wanted, seed))
        return problems

    def shots(self, task: Task, count: int) -> list[Problem]:
        """``count`` solved examples for a prompt, from seeds of their own; none is a held-out problem."""
        taken = {p.key for p in _held_out(task)}
        return [p for p in task.make_problems(EXAMPLE_SEED, count * 8) if p.key not in taken][:count]


def _spread(count: int, weights: tuple[int, ...]) -> list[int]:
    """``count`` in whole parts by weight; the remainder of rounding goes to the first."""
    parts = [count * weight // sum(weights) for weight in weights]
    left = count - sum(parts)
    return [part + (i < left) for i, part in enumerate(parts)]


@cache
def _held_out(task: Task) -> tuple[Problem, ...]:
    by_key: dict[str, Problem] = {}
    for problem in task.make_problems(HELD_OUT_SEED, HELD_OUT_PER_TASK * 4):
        if not problem.elementary:
            by_key.setdefault(problem.key, problem)
    return tuple(by_key.values())[:HELD_OUT_PER_TASK]


def _training(task: Task, wanted: int, seed: int) -> list[Problem]:
    taken = {p.key for p in _held_out(task)}
    questions: dict[str, Problem] = {}
    # Small tasks repeat themselves: ask for more than are wanted, and stop when no new ones come.
    for attempt in range(6):
        for problem in task.make_problems(seed + attempt * 100_000, wanted * 2):
            if problem.key not in taken:
                questions.setdefault(problem.question, problem)
        if len(questions) >= wanted:
            return list(questions.values())[:wanted]
    raise ConfigError([f"examples: task {task.name} has only {len(questions)} different ones, {wanted} were asked for"])


FAMILIES: dict[str, TaskFamily] = {
    family.name: family
    for family in (
        TaskFamily("math_reasoning", (ChainSum(), SimpleEquations(), LegCounting()), practice=(4, 1, 1)),
        TaskFamily("logical_reasoning", (FamilyRelationships(), Syllogism(), AliceInWonderland()), practice=(3, 4, 1)),
        TaskFamily("code_generation", code_tasks(), practice=(3, 3, 2, 2), runs_replies=True),
    )
}
