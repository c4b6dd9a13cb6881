"""The words for what comes after an answer that is not sure enough. Beside them, ``base`` and names of adapters do."""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.request_limits import MOST

AGAIN = "again"
"""The same adapter answers again, sampled."""
ABSTAIN, ASK = "abstain", "ask"
WITHOUT_AN_ANSWER = (ABSTAIN, ASK)
"""Fallbacks that give words of ours in the place of an answer, and so end the list."""


def adapters_among(fallbacks: Sequence[str]) -> list[str]:
    """Those that are names of adapters."""
    return [name for name in fallbacks if name not in (*WITHOUT_AN_ANSWER, AGAIN, BASE)]


def fault_in(fallbacks: Sequence[str]) -> str | None:
    """What is wrong with a list of fallbacks, with the value and the way out; None where nothing is."""
    if not all(fallbacks):
        return f"the list {list(fallbacks)!r:.80} has an empty name"
    if len(fallbacks) > MOST.confidence_fallbacks:
        return f"these are {len(fallbacks)} fallbacks; at most {MOST.confidence_fallbacks} are taken"
    for place, name in enumerate(fallbacks[:-1]):
        if name in WITHOUT_AN_ANSWER:
            after = fallbacks[place + 1][:64]
            return f"{after!r} stands after {name!r}, which ends the list, so its turn never comes; put it before that"
    return None
