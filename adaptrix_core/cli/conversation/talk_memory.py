"""The memory of a conversation on the terminal: what is sent of it once it is too long for the model's context.

All of it is sent until the target says that it is too long. Then the target is asked how many tokens it has, and turns
are left out by the rule of `context/memory/selection.py`. Sizes of single turns are estimated by their characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adaptrix_core.cli.conversation.dialogue import Dialogue
from adaptrix_core.cli.target import Message, Room, TargetRequest
from adaptrix_core.context.memory.exchanges import Exchange, Exchanges, in_exchanges
from adaptrix_core.context.memory.relevance import Relevance, RelevanceByMeaning, RelevanceByWords
from adaptrix_core.context.memory.selection import Selection, prompt_room, select
from adaptrix_core.errors import AdaptrixError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAME_TOKENS = 8
"""Tokens that a template writes around a message, at most."""
SURE_SHARE = 0.9
"""Share of the room that is used, as sizes are estimates."""


class TalkMemory:
    """Which turns of one conversation are left out."""

    def __init__(
        self,
        measure: Callable[[Sequence[Message]], Room],
        embed: Callable[[Sequence[str]], Sequence[Sequence[float]]],
    ) -> None:
        """measure: asks the target how long messages are. embed: asks it for vectors of texts."""
        self._measure = measure
        self._embed = embed
        self._room: Room | None = None
        self._left_out: set[int] = set()

    @property
    def left_out(self) -> list[int]:
        """Numbers of the turns, from 0, that the last request has left out."""
        return sorted(self._left_out)

    def asking(self, dialogue: Dialogue, question: str) -> TargetRequest:
        """The request for one more answer. Raises ContextLengthExceeded."""
        request = dialogue.asking(question)
        return request if self._room is None or not self._left_out else self._shortened(request, self._room)

    def shortened(self, request: TargetRequest) -> TargetRequest:
        """The whole request made short enough, after it was refused as too long. Raises ContextLengthExceeded."""
        self._room = self._measure(request.messages)
        return self._shortened(request, self._room)

    def forget(self, number: int) -> None:
        """A turn is no longer part of the conversation."""
        self._left_out = {one - (one > number) for one in self._left_out if one != number}

    def begin_anew(self) -> None:
        """Another conversation begins."""
        self._left_out.clear()

    def _shortened(self, request: TargetRequest, room: Room) -> TargetRequest:
        conversation = in_exchanges(request.messages)
        selection = self._selected(conversation, room, request.max_tokens)
        self._left_out = set(selection.left_out)
        return replace(request, messages=[dict(message) for message in conversation.messages(selection.kept)])

    def _selected(self, conversation: Exchanges, room: Room, answer: int | None) -> Selection:
        def size(messages: Sequence[Any]) -> int:
            return sum(int(len(message["content"]) * room.tokens_per_character) + FRAME_TOKENS for message in messages)

        question, earlier = conversation.turns[-1].question, conversation.turns[:-1]
        relevance, scores = self._compared(question, earlier)
        return select(
            [size(turn.messages) for turn in conversation.turns],
            int(SURE_SHARE * prompt_room(room.context, answer)),
            opening=size(conversation.opening) + FRAME_TOKENS,
            relevance=scores,
            recall_from=relevance.recall_from,
            left_out=self._left_out,
        )

    def _compared(self, question: str, earlier: Sequence[Exchange]) -> tuple[Relevance, list[float] | None]:
        """By meaning where the target embeds texts, else by words; by nothing where scikit-learn is missing."""
        meaning = RelevanceByMeaning(self._vectors)
        try:
            return meaning, meaning.of(question, earlier)
        except AdaptrixError:
            words = RelevanceByWords()
        try:
            return words, words.of(question, earlier)
        except ImportError:
            return words, None

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        return np.asarray(self._embed(texts), np.float32)
