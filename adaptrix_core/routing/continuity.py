"""Continuity: how much a message goes on with its conversation, by vectors of the texts.

Knows vectors and the follow-ups without a topic of their own. Does not know adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from adaptrix_core.routing import prompts
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.scorer import fit_scorer
from adaptrix_core.routing.words.character_vectors import CharacterVectors

RECENT_TURNS = 3
"""Earlier user turns that a message is compared with."""

LIKENESS_WEIGHT = 2.0
"""Weight of the cosine to the nearest earlier turn, in log-odds; 1 to 3 did equally well on the calibration set."""


class Continuity:
    """Log-odds of being a follow-up, plus likeness to earlier turns."""

    def __init__(self, embed: Callable[[Sequence[str]], Vectors]) -> None:
        """embed: texts to ``(n, dimension)`` rows of length 1."""
        self.embed = embed
        self._scorer = fit_scorer(embed(prompts.continuations()), embed(prompts.background()))

    def of(self, rows: Vectors, index: int) -> float:
        """Of the turn of this number after those before it; rows: of all turns, ``(turns, dimension)``."""
        row, earlier = rows[index], rows[max(0, index - RECENT_TURNS) : index]
        likeness = float((earlier @ row).max()) if len(earlier) else 0.0
        return float(self._scorer.margins(row[None])[0]) + LIKENESS_WEIGHT * likeness


def continuity_by_characters() -> Continuity:
    """For a router without an embedding model."""
    return Continuity(CharacterVectors([*prompts.continuations(), *prompts.background()]).embed)
