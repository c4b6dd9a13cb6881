"""What confidence is calibrated on: held-out problems of a family, harder ones, and freely worded ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from adaptrix_core.training.tasks.code import long_code_tasks
from adaptrix_core.training.tasks.families import FAMILIES
from adaptrix_core.training.tasks.logic import AliceInWonderland, FamilyRelationships
from adaptrix_core.training.tasks.math import ChainSum, LegCounting, SimpleEquations
from adaptrix_core.training.tasks.problem import Problem, Task
from adaptrix_core.training.tasks.shifted.free_code import code_wordings
from adaptrix_core.training.tasks.shifted.free_logic import logic_wordings
from adaptrix_core.training.tasks.shifted.free_math import math_wordings
from adaptrix_core.training.tasks.shifted.wording import FreeWording, problems_in

Kind = Literal["held-out", "hard", "free"]
_SEED = 30_000_000

_HARDER: Mapping[str, Callable[[], Sequence[Task]]] = {
    "math_reasoning": lambda: (
        ChainSum(terms=(4, 7)),
        ChainSum(digits=3),
        LegCounting(kinds=(3, 5), most=9),
        SimpleEquations(largest=40),
    ),
    "logical_reasoning": lambda: (FamilyRelationships(size=(7, 10)), AliceInWonderland(most=30)),
    "code_generation": long_code_tasks,
}
_WORDINGS: Mapping[str, Callable[[], Sequence[FreeWording]]] = {
    "math_reasoning": math_wordings,
    "logical_reasoning": logic_wordings,
    "code_generation": code_wordings,
}


@dataclass(frozen=True)
class KindOfProblem:
    """A problem, and how far it is from what was trained."""

    problem: Problem
    kind: Kind

    @property
    def group(self) -> str:
        """What must not be divided between fitting and testing: a free wording, or the problem itself."""
        return f"{self.kind}: {self.problem.key}"


def calibration_problems(family: str, held_out: int, hard: int, free: int) -> list[KindOfProblem]:
    """So many problems of each kind at most, the same ones every time. family: a name in `FAMILIES`."""
    tasks = _HARDER[family]() if hard else ()
    harder = [problem for task in tasks for problem in task.make_problems(_SEED, -(-hard // len(tasks)))][:hard]
    sets: dict[Kind, Sequence[Problem]] = {
        "held-out": FAMILIES[family].held_out(held_out),
        "hard": harder,
        "free": problems_in(_WORDINGS[family](), free),
    }
    return [KindOfProblem(problem, kind) for kind, problems in sets.items() for problem in problems]


def scorer_of(problem: Problem, family: str) -> Task:
    """The task that marks replies to a problem."""
    return next(task for task in FAMILIES[family].tasks if task.name == problem.task)
