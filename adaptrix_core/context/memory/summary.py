"""A summary of the turns that prompts leave out: written by the model, passed on, and kept within a budget of tokens.

What is new is added to the summary before it, so each turn is read for it once. It stands in the prompt as an answer to
a question for it, between the opening and the turns that are kept: as the model's own words it has no more say than
they have, which a system message would. Knows texts; who writes it, and how many tokens that takes, is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from adaptrix_core.context.memory.exchanges import ChatMessage, Exchange, Exchanges, text_of

WRITER = "You write short notes of a conversation between a user and an assistant."
TASK = (
    "Write down in a few short sentences what the user said about themselves and asked for: names, numbers and places "
    "word by word. Write nothing else."
)
ASKED = "What do you remember of what we said before?"
"""The question that the summary answers in a prompt."""
EXCERPT_CHARACTERS = 320
"""Characters of a message that are read for a summary, at most."""


@dataclass(frozen=True)
class Summary:
    """What is known of turns that prompts leave out."""

    text: str = ""
    turns: frozenset[int] = frozenset()
    """Numbers of the turns that were read for it."""

    def unread(self, left_out: Iterable[int]) -> list[int]:
        """Which of these turns are not in it, in order."""
        return sorted(set(left_out) - self.turns)


NO_SUMMARY = Summary()


def summary_request(
    before: Summary, turns: Sequence[Exchange], fits: Callable[[list[ChatMessage]], bool]
) -> list[ChatMessage] | None:
    """The messages that ask for a summary of ``before`` and ``turns``; None where none is short enough.

    fits: whether messages have room in a prompt. Long messages are read as their beginnings.
    """
    length = EXCERPT_CHARACTERS
    while length > 0:
        said = "\n".join(
            f"{message['role']}: {' '.join(text_of(message).split())[:length]}"
            for turn in turns
            for message in turn.messages
        )
        known = f"Notes so far:\n{before.text}\n\n" if before.text else ""
        asked: list[ChatMessage] = [
            {"role": "system", "content": WRITER},
            {"role": "user", "content": f"{known}Conversation:\n{said}\n\n{TASK}"},
        ]
        if fits(asked):
            return asked
        length //= 2
    return None


def messages_with(summary: Summary, conversation: Exchanges, kept: Iterable[int]) -> list[ChatMessage]:
    """The messages of a prompt with the summary, if there is one, before the turns that are kept."""
    if not summary.text:
        return conversation.messages(kept)
    return [*conversation.opening, *recap(summary.text), *conversation.messages(kept)[len(conversation.opening) :]]


def recap(text: str) -> list[ChatMessage]:
    """A summary as it stands in a prompt."""
    return [{"role": "user", "content": ASKED}, {"role": "assistant", "content": text}]
