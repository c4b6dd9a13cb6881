"""Evidence: messages that somebody has labelled, and tasks with what each adapter was measured to do. A file of it:

    {"labelled": [{"prompt": "Tot up the legs.", "right": ["math_reasoning"]}],
     "tasks": [{"name": "percentages", "questions": ["What is 20 % of 80?"], "shares": {"base": 0.2, "sums": 0.1}}]}

``right`` is empty where the base model should answer; ``shares`` are shares of right answers. Written by operators and
benchmarks, read when the router starts. Messages that operators have the router learn while it runs come beside it
(`learnt_messages.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.errors import ConfigError
from adaptrix_core.routing.catalogue import RouteCard, RouteTask
from adaptrix_core.routing.signals.learnt_messages import LearntMessage

_FROZEN = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
Text = Annotated[str, Field(min_length=1, max_length=4096)]


class LabelledMessage(BaseModel):
    """A message, and the adapters that should answer it; none for the base model."""

    model_config = _FROZEN

    prompt: Text
    right: tuple[str, ...] = Field(max_length=16)


class MeasuredTask(BaseModel):
    """A task by its questions, and the share of right answers by adapter; ``base`` is the base model."""

    model_config = _FROZEN

    name: str = Field(min_length=1, max_length=128)
    questions: tuple[Text, ...] = Field(min_length=1, max_length=1000)
    shares: dict[str, Annotated[float, Field(ge=0, le=1)]]


class RouterEvidence(BaseModel):
    """What is known of messages and tasks beyond the adapters' own cards."""

    model_config = _FROZEN

    labelled: tuple[LabelledMessage, ...] = Field(default=(), max_length=10_000)
    tasks: tuple[MeasuredTask, ...] = Field(default=(), max_length=10_000)

    def with_learnt(self, learnt: Iterable[LearntMessage]) -> RouterEvidence:
        """The same with messages that the router has learnt; of a message that the file labels too, they count."""
        rows = {one.text: LabelledMessage.model_construct(prompt=one.text, right=_right(one)) for one in learnt}
        kept = (row for row in self.labelled if row.prompt not in rows)
        return self.model_copy(update={"labelled": (*kept, *rows.values())})

    def on(self, cards: Iterable[RouteCard]) -> tuple[RouteCard, ...]:
        """The cards with what is said of each."""
        return tuple(self._on(card) for card in cards)

    def _on(self, card: RouteCard) -> RouteCard:
        measured = [task for task in self.tasks if card.name in task.shares]
        return replace(
            card,
            labelled_right=tuple(row.prompt for row in self.labelled if card.name in row.right),
            labelled_wrong=tuple(row.prompt for row in self.labelled if card.name not in row.right),
            tasks=tuple(
                RouteTask(task.name, task.questions, task.shares[card.name] > task.shares.get(BASE, 0.0))
                for task in measured
            ),
        )


def _right(learnt: LearntMessage) -> tuple[str, ...]:
    return () if learnt.right is None else (learnt.right,)


def read_evidence(file: Path | None) -> RouterEvidence:
    """The evidence in ``file``; none where there is no file. Raises ConfigError for one that cannot be read."""
    if file is None:
        return RouterEvidence()
    try:
        return RouterEvidence.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigError([f"router.evidence_file = {file}: {error.strerror or error}"]) from error
    except ValidationError as error:
        faults = [
            f"router.evidence_file = {file}: {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}"
            for e in error.errors()
        ]
        raise ConfigError(faults[:8]) from error
