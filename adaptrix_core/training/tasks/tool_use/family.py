"""The family ``tool_use``: conversations with functions to learn from, and others to measure by.

Held out are whole skills, so that what is measured is the use of functions that were never seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from random import Random

from adaptrix_core.routing.prompts import out_of_scope
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.jsonl import read_jsonl
from adaptrix_core.training.tasks.tool_use.acting import ACTING
from adaptrix_core.training.tasks.tool_use.drawing import draw
from adaptrix_core.training.tasks.tool_use.held_out_skills import HELD_OUT
from adaptrix_core.training.tasks.tool_use.looking_up import LOOKING_UP
from adaptrix_core.training.tasks.tool_use.reckoning import RECKONING
from adaptrix_core.training.tasks.tool_use.skill import Skill
from adaptrix_core.training.tasks.tool_use.texts import held_out_texts, trained_texts

_KNOWN = {**LOOKING_UP, **RECKONING, **ACTING}
_ORDER = (
    *("weather", "time", "add", "multiply", "search", "translate", "email", "timer", "reminder", "music", "stock"),
    *("currency", "lights", "shopping", "order", "user", "random", "news", "directions", "date"),
)
"""Draws depend on the order: another one makes other conversations of the same seed."""
TRAINED: tuple[Skill, ...] = tuple(_KNOWN[name] for name in _ORDER)


MEASURE_SEED = 10_000_000


@dataclass(frozen=True)
class ToolUseFamily:
    """Conversations that one adapter learns; the adapter has the family's name."""

    name: str = field(default="tool_use", init=False)

    def training(self, seed: int) -> Iterator[LearntConversation]:
        """Conversations to train on, without end."""
        rng = Random(seed + 1)
        while True:
            yield draw(rng, TRAINED, trained_texts())

    def held_out(self, seed: int) -> Iterator[LearntConversation]:
        """Conversations with functions and texts that are not trained on, without end; a run takes its loss on some."""
        rng = Random(seed + 2)
        while True:
            yield draw(rng, tuple(HELD_OUT.values()), held_out_texts())

    def to_measure(self, count: int) -> list[LearntConversation]:
        """``count`` conversations with functions that are not trained on, the same ones every time.

        Half of the replies are calls, a quarter each are texts and answers after a result. The texts' questions are the
        router's hand-written ones: of those that are trained on, none is among them.
        """
        rng, skills = Random(MEASURE_SEED), tuple(HELD_OUT.values())
        trained = {question for question, _ in (*trained_texts(), *held_out_texts())}
        texts = [(question, "") for question in out_of_scope("test") if question not in trained]
        kinds = ("call", "text", "call", "answer")
        return [draw(rng, skills, texts, kinds[place % len(kinds)]) for place in range(count)]

    def hand_written(self) -> list[LearntConversation]:
        """Conversations that nobody drew, with functions and wordings as callers have them."""
        with as_file(files(__package__).joinpath("hand_written.jsonl")) as path:
            return read_jsonl(path)


TOOL_USE = ToolUseFamily()
