"""Routing examples of an adapter from its own training data: few questions, as different from one another as may be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adaptrix_core.routing.conversation import excerpt
from adaptrix_core.routing.words.character_vectors import CharacterVectors
from adaptrix_core.training.examples.conversation import LearntConversation

LONGEST = 400
"""Characters of a question that can be an example: longer ones carry data that is nobody's topic."""
LOOKED_AT = 2000
"""Most different questions that are compared."""


def route_examples(conversations: Sequence[LearntConversation], number: int) -> tuple[str, ...]:
    """At most ``number`` questions, each one the farthest from those before it by its characters.

    Conversations that are more than one question, and long questions, are left out. Without any, the result is empty.
    """
    questions = (conversation.question for conversation in conversations)
    short = (excerpt(question) for question in questions if question is not None and len(question) <= LONGEST)
    known = list(dict.fromkeys(text for text in short if text))[:LOOKED_AT]
    if len(known) <= number or number < 1:
        return tuple(known[: max(0, number)])
    rows = CharacterVectors(known).embed(known)
    chosen = [int((rows @ rows.mean(axis=0)).argmax())]  # the most usual one first
    likeness = rows @ rows[chosen[0]]
    while len(chosen) < number:
        chosen.append(int(np.argmin(likeness)))
        likeness = np.maximum(likeness, rows @ rows[chosen[-1]])
        likeness[chosen] = np.inf
    return tuple(known[place] for place in chosen)
