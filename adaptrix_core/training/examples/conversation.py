"""A conversation to learn from: what was said, the functions that could be called, and the reply to learn.

Knows messages as chat templates take them (`tools/template_input.py`). Does not know files, tokens or models.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from adaptrix_core.tools.toolset import Toolset

Message = Mapping[str, Any]
"""``role`` and ``content``; calls of functions in ``tool_calls``, their arguments as JSON text; a result's
``tool_call_id``."""


@dataclass(frozen=True)
class LearntConversation:
    """Messages, and the assistant's message that comes next."""

    messages: tuple[Message, ...]
    reply: Message
    """The message to learn: a text, calls of functions, or both."""
    toolset: Toolset | None = None
    """The functions that the model is told of; None for none."""

    @classmethod
    def of_pair(cls, question: str, reply: str) -> Self:
        """One question, and the text that answers it."""
        return cls(({"role": "user", "content": question},), {"role": "assistant", "content": reply})

    @property
    def question(self) -> str | None:
        """The user's text, where the conversation is one question without functions; else None."""
        if self.toolset is None and len(self.messages) == 1 and self.messages[0]["role"] == "user":
            return str(self.messages[0]["content"])
        return None

    @property
    def prompt_text(self) -> str:
        """All that stands before the reply, in one text: equal for equal prompts."""
        if self.question is not None:
            return self.question
        functions = [] if self.toolset is None else self.toolset.documents()
        return json.dumps([list(map(dict, self.messages)), functions], ensure_ascii=False)

    def as_row(self) -> dict[str, Any]:
        """The conversation as a line of a JSONL file: a pair where it is one, else OpenAI's fine-tuning form."""
        if self.question is not None and "tool_calls" not in self.reply:
            return {"prompt": self.question, "completion": self.reply["content"]}
        messages = [dict(message) for message in (*self.messages, self.reply)]
        return {"messages": messages, **({} if self.toolset is None else {"tools": self.toolset.documents()})}
