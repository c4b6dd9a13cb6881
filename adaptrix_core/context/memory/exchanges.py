"""A conversation in exchanges: a question and all that followed it, until the next question.

What is left out of a prompt is left out by whole exchanges, so an answer never stands without its question, nor a
function's result without its call. Knows the shape of chat messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adaptrix_core.errors import InvalidRequest

ChatMessage = Mapping[str, Any]
"""``{"role", "content"}``, some with calls of functions; the content is text, or None beside calls."""

ASKING = "user"
"""The role whose messages begin an exchange."""


@dataclass(frozen=True)
class Exchange:
    """A question, and the answers, calls and results that followed it."""

    messages: tuple[ChatMessage, ...]
    """The first one asks."""

    @property
    def question(self) -> str:
        """The text that asks."""
        return text_of(self.messages[0])

    @property
    def text(self) -> str:
        """All that was said, one message a line."""
        return "\n".join(filter(None, map(text_of, self.messages)))


@dataclass(frozen=True)
class Exchanges:
    """A whole conversation."""

    opening: tuple[ChatMessage, ...]
    """What stands before the first question: the system's messages, as a rule."""
    turns: tuple[Exchange, ...]
    """In order; the last one holds the question that is to be answered."""

    def messages(self, kept: Iterable[int]) -> list[ChatMessage]:
        """The messages of a prompt that holds the opening and the exchanges of these numbers, in order."""
        return [*self.opening, *(message for number in kept for message in self.turns[number].messages)]


def in_exchanges(messages: Sequence[ChatMessage]) -> Exchanges:
    """Divide a conversation. Raises InvalidRequest where no message asks anything."""
    starts = [place for place, message in enumerate(messages) if message["role"] == ASKING]
    if not starts:
        raise InvalidRequest(
            "no message has the role 'user', so there is no question to remember for; send one", param="messages"
        )
    ends = [*starts[1:], len(messages)]
    turns = [Exchange(tuple(messages[start:end])) for start, end in zip(starts, ends, strict=True)]
    return Exchanges(tuple(messages[: starts[0]]), tuple(turns))


def text_of(message: ChatMessage) -> str:
    """What a message says, the arguments of its calls included."""
    called = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    return "\n".join(filter(None, [message.get("content") or "", *called]))
