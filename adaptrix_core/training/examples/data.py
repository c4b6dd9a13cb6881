"""The data of a training run: conversations to train on, and those that are held out.

Given ones were read before the base model was loaded, and a share of their prompts is held out. Drawn ones come from a
family that makes as many as are asked for, and that has held-out ones of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from adaptrix_core.base import BaseModel
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.datasets import load_conversations
from adaptrix_core.training.examples.encoding import first_that_fit
from adaptrix_core.training.examples.held_out import split
from adaptrix_core.training.tasks.tool_use.family import TOOL_USE, ToolUseFamily

Sides = tuple[list[LearntConversation], list[LearntConversation]]
"""(to train on, held out)"""


class TrainingData(Protocol):
    """Where a run's conversations come from."""

    def sides(self, base: BaseModel, config: TrainConfig) -> Sides:
        """The conversations of this run."""
        ...


@dataclass(frozen=True)
class GivenData:
    """Conversations that were read."""

    conversations: Sequence[LearntConversation]

    def sides(self, base: BaseModel, config: TrainConfig) -> Sides:
        """A share of the different prompts is held out."""
        return split(self.conversations, config.held_out, config.seed)


@dataclass(frozen=True)
class DrawnData:
    """A family's conversations, drawn until there are enough that are short enough."""

    family: ToolUseFamily

    def sides(self, base: BaseModel, config: TrainConfig) -> Sides:
        """``config.examples`` to train on; beside them, as a share of that number, some that the family holds out."""
        most = config.max_tokens_per_example
        train = first_that_fit(base, self.family.training(config.seed), config.examples, most)
        held_out = first_that_fit(
            base, self.family.held_out(config.seed), round(config.held_out * config.examples), most
        )
        return train, held_out


def read_training_data(config: TrainConfig) -> TrainingData:
    """The data that ``config`` names. Raises what `load_conversations` raises."""
    if config.data == TOOL_USE.name:
        return DrawnData(TOOL_USE)
    return GivenData(load_conversations(config.data, config.examples, config.seed))
