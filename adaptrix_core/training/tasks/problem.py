"""The record of a problem, and the protocol of a task.

Knows how an answer is written and found again. Does not know any task, model or data set.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from adaptrix_core.composition.stated_answer import stated_answer
from adaptrix_core.security.sandbox.run import SandboxKind

ANSWER_MARK = "Answer:"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Problem:
    """A question as a user would type it, and the facts by which a reply is marked.

    ``key`` names the problem behind the wording: two problems with one key are the same problem, so training and
    held-out sets must not share keys. ``reference`` is the reply to learn (brief working, then the answer); ``answer``
    is what is scored; ``facts`` is whatever the task's scorer needs beyond it. An ``elementary`` problem is a single
    building block of the others: it is taught, and never held out.
    """

    task: str
    key: str
    question: str
    reference: str
    answer: str
    facts: Mapping[str, object] = field(default_factory=dict)
    elementary: bool = False


class Task(Hashable, Protocol):
    """A kind of problem: makes as many as asked, scores replies."""

    name: str
    instruction: str
    """The answer format, in words, for a model that was not trained on it."""

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """``count`` problems; equal seeds give equal problems."""
        ...

    def score(self, problems: list[Problem], replies: list[str], sandbox: SandboxKind = "bubblewrap") -> list[bool]:
        """Whether each reply is right, in order. sandbox: where a task runs replies that are code."""
        ...


def with_answer(working: str, answer: str) -> str:
    """The reply that is learnt: working lines, then ``Answer: …``."""
    return f"{working}\n{ANSWER_MARK} {answer}"


def stated_number(reply: str) -> float | None:
    """The number of the answer line, or the last number of a reply that has no such line."""
    line = stated_answer(reply)
    numbers = _NUMBER.findall((reply if line is None else line).replace(",", ""))
    if not numbers:
        return None
    return float(numbers[-1])


class NumberScored:
    """Scoring for the tasks whose answer is one number."""

    def score(self, problems: list[Problem], replies: list[str], sandbox: SandboxKind = "bubblewrap") -> list[bool]:
        """A reply is right when the number it states equals the answer."""
        return [stated_number(r) == float(p.answer) for p, r in zip(problems, replies, strict=True)]
