"""The state of a conversation: model, sampling, system message and turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from adaptrix_core.cli.logs.turn import LoggedTurn
from adaptrix_core.cli.target import Message, TargetRequest


@dataclass
class Dialogue:
    """Changed by the commands and by every answer."""

    template: TargetRequest
    """Model and sampling of the next question; its messages are left empty."""
    system: str | None = None
    turns: list[LoggedTurn] = field(default_factory=list)

    def messages(self) -> list[Message]:
        """The conversation so far, as chat messages."""
        opening: list[Message] = [{"role": "system", "content": self.system}] if self.system else []
        return opening + [message for turn in self.turns for message in turn.messages()]

    def asking(self, question: str) -> TargetRequest:
        """The request for one more answer."""
        return replace(self.template, messages=self.messages()).asking(question)

    def use(self, **fields: Any) -> None:
        """Change fields of the template."""
        self.template = replace(self.template, **fields)

    def sampling(self) -> Mapping[str, Any]:
        """The sampling values that were set, without those left to defaults."""
        return self.template.sampling()
