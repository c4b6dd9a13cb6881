"""A plan: the questions of its steps, in order, with places for the answers of earlier steps.

Knows how a place is written. Does not know how questions are divided (`planning/planner.py`), nor who answers them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLACE = re.compile(r"\{\d{1,4}\}")


@dataclass(frozen=True)
class Plan:
    """Questions to ask one after another. ``{0}`` in a step stands for the answer of the first step, and so on.

    Braces around anything but a number are ordinary text. A plan has no branches and no loops: as many questions are
    asked as it has steps.
    """

    steps: tuple[str, ...]


def place(number: int) -> str:
    """What stands in a step for the answer of step ``number`` (from 0)."""
    return f"{{{number}}}"


def with_example_answers(step: str) -> str:
    """A step that can be read before the answers are known, as by a router: each place holds a small number."""
    return _PLACE.sub("7", step)


def has_place(text: str) -> bool:
    """Whether a text has a place for an answer, meant or not."""
    return _PLACE.search(text) is not None
