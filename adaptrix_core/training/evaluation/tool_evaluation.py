"""Measures adapters that call functions, beside the base model: on held-out functions, and on hand-written requests.

Asked as a server asks with ``tool_choice: auto``: the same prompt, the same grammar. Replies are greedy. How they are
marked is said in `tool_marks.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from adaptrix_core.errors import ConfigError
from adaptrix_core.tools.call_form import CallForm
from adaptrix_core.training.evaluation.prompting import Generator, prompt_of
from adaptrix_core.training.evaluation.report import percent, score_json
from adaptrix_core.training.evaluation.scoring import Score
from adaptrix_core.training.evaluation.tool_marks import MEASURES, scores_by_measure
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.tasks.tool_use.family import ToolUseFamily

BASE = "base"
MOST_PROBLEMS, MOST_TOKENS = 1000, 4096
Scores = Mapping[str, Mapping[str, Score]]
"""condition -> measure -> score"""


@dataclass(frozen=True)
class ToolEvaluation:
    """Scores on held-out functions and texts, and on hand-written requests."""

    held_out: Scores
    hand_written: Scores

    @property
    def sets(self) -> Mapping[str, Scores]:
        """Both, by the name that tables and JSON give them."""
        return {"held_out": self.held_out, "hand_written": self.hand_written}

    def as_json(self) -> dict[str, Any]:
        """set -> condition -> measure -> counts, share and interval."""
        return {name: _scores_json(scores) for name, scores in self.sets.items()}

    def metrics_of(self, adapter: str) -> dict[str, Any]:
        """An adapter's quality for its metadata, beside the base model's."""
        return {name: _scores_json({c: scores[c] for c in (BASE, adapter)}) for name, scores in self.sets.items()}


def evaluate_tools(
    family: ToolUseFamily,
    adapters: Sequence[str],
    generator: Generator,
    form: CallForm,
    problems: int,
    max_tokens: int,
    on_condition: Callable[[str], None] = lambda condition: None,
) -> ToolEvaluation:
    """The base, then each adapter. form: how the base model writes calls; problems: how many held-out conversations.

    Raises ConfigError for a number of problems or tokens that is out of range.
    """
    for field, given, most in (("problems", problems, MOST_PROBLEMS), ("max_tokens", max_tokens, MOST_TOKENS)):
        if not 1 <= given <= most:
            raise ConfigError([f"{field} is {given}: it must be 1 to {most}"])

    def measured(conversations: Sequence[LearntConversation], what: str) -> Scores:
        prompts = [prompt_of(conversation) for conversation in conversations]
        scores: dict[str, Mapping[str, Score]] = {}
        for adapter in (None, *adapters):
            condition = adapter or BASE
            on_condition(f"{condition}: {len(prompts)} {what}")
            replies = generator.reply(prompts, adapter, max_tokens)
            scores[condition] = scores_by_measure(conversations, replies, form)
        return scores

    return ToolEvaluation(
        measured(family.to_measure(problems), "requests with held-out functions"),
        measured(family.hand_written(), "hand-written requests"),
    )


def tool_tables(evaluation: ToolEvaluation) -> list[Table]:
    """A table for each set: shares in percent with their 95 % intervals."""
    tables = []
    for name, scores in evaluation.sets.items():
        table = Table(title=f"calls of functions, {name.replace('_', '-')}: right, % (95 % interval)")
        table.add_column("condition")
        for measure, score in next(iter(scores.values())).items():
            table.add_column(f"{measure} ({score.total})", justify="right")
        for condition, by_measure in scores.items():
            table.add_row(condition, *(percent(by_measure[measure]) for measure in MEASURES))
        tables.append(table)
    return tables


def _scores_json(scores: Scores) -> dict[str, Any]:
    return {
        condition: {measure: score_json(score) for measure, score in by_measure.items()}
        for condition, by_measure in scores.items()
    }
