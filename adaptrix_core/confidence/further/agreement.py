"""How many of several answers state the same as one."""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.composition.ballots import normalised
from adaptrix_core.composition.stated_answer import answer_of


def share_that_agrees(text: str, others: Sequence[str]) -> float:
    """The share of ``others``, at least one, that state what ``text`` does, as votes compare answers; 0 to 1."""
    stated = normalised(answer_of(text))
    return sum(normalised(answer_of(other)) == stated for other in others) / len(others)
