"""Prompts for problems, and the generators that answer them.

A trained adapter gets the question as a user would type it. The untrained base gets the same question with the answer
format in words, alone or after solved examples as earlier turns of the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.training.tasks.families import TaskFamily
from adaptrix_core.training.tasks.problem import Problem

Messages = list[dict[str, str]]


class Generator(Protocol):
    """Continues conversations, greedily, under an adapter or none."""

    def reply(self, prompts: Sequence[Messages], adapter: str | None, max_tokens: int) -> list[str]:
        """One reply per conversation, in order."""
        ...


class EngineGenerator:
    """Replies from an `Engine`, at most ``batch_size`` conversations submitted at a time.

    Never more than the engine computes together: those that have to wait could be refused.
    """

    def __init__(self, engine: Engine, batch_size: int = 32) -> None:
        self._engine, self._batch_size = engine, min(batch_size, engine.options.max_rows)

    def reply(self, prompts: Sequence[Messages], adapter: str | None, max_tokens: int) -> list[str]:
        """Greedy replies; all prompts of a batch run under the same adapter."""
        params = SamplingParams(max_tokens=max_tokens, temperature=0.0)
        replies: list[str] = []
        for start in range(0, len(prompts), self._batch_size):
            batch = prompts[start : start + self._batch_size]
            replies.extend(c.text for c in self._engine.generate(batch, adapters=adapter, params=params))
        return replies


def plain(problem: Problem) -> Messages:
    """The question alone."""
    return [{"role": "user", "content": problem.question}]


def instructed(problem: Problem, instruction: str, shots: Sequence[Problem] = ()) -> Messages:
    """Solved examples as earlier turns, then the question; every question carries the answer format in words."""
    messages: Messages = []
    for shot in shots:
        messages.append({"role": "user", "content": f"{shot.question}\n{instruction}"})
        messages.append({"role": "assistant", "content": shot.reference})
    return [*messages, {"role": "user", "content": f"{problem.question}\n{instruction}"}]


def base_prompts(family: TaskFamily, problems: Sequence[Problem], shots: int) -> list[Messages]:
    """`instructed` for problems of several tasks, each with its task's instruction and solved examples."""
    instructions = {task.name: task.instruction for task in family.tasks}
    solved = {task.name: family.shots(task, shots) if shots else [] for task in family.tasks}
    return [instructed(p, instructions[p.task], solved[p.task]) for p in problems]
