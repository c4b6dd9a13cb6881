"""A free wording: one way of asking for something, with numbers or names to be drawn, and its exact answer.

Wordings are apart from one another, so that what is learnt on some can be tested on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from adaptrix_core.training.tasks.problem import Problem

Values = dict[str, Any]
"""What a wording's text and answer are made with; ``f`` is the name of a function that is asked for."""


@dataclass(frozen=True)
class FreeWording:
    """One way of asking."""

    name: str
    """Unlike any other wording's."""
    task: str
    text: str
    """The question, with ``{name}`` for each drawn value."""
    draw: Callable[[Random], Values]
    answer: Callable[[Values], str]
    """The exact answer to the question with these values; for code, a function that is right."""

    def problem(self, seed: int) -> Problem:
        """The problem with the values that the seed draws."""
        values = self.draw(Random(f"{self.name}:{seed}"))
        facts = {"function": values["f"]} if "f" in values else {}
        question, answer = self.text.format(**values), self.answer(values)
        return Problem(self.task, self.name, question, answer, answer, facts)


def problems_in(wordings: Sequence[FreeWording], count: int) -> list[Problem]:
    """``count`` problems spread evenly over the wordings, the same ones every time, none twice.

    A wording whose values are used up has fewer. The key of each is its wording's name.
    """
    rounds = -(-count // len(wordings))
    made = [_different(wording, rounds) for wording in wordings]
    in_turns = [mine[turn] for turn in range(rounds) for mine in made if turn < len(mine)]
    return in_turns[:count]


def _different(wording: FreeWording, count: int) -> list[Problem]:
    made: dict[str, Problem] = {}
    for seed in range(20 * count):
        problem = wording.problem(seed)
        made.setdefault(problem.question, problem)
        if len(made) == count:
            break
    return list(made.values())
