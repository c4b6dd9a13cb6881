"""The words for what comes after an answer that is not sure enough. Beside them, ``base`` and names of adapters do."""

from __future__ import annotations

AGAIN = "again"
"""The same adapter answers again, sampled."""
ABSTAIN, ASK = "abstain", "ask"
WITHOUT_AN_ANSWER = (ABSTAIN, ASK)
"""Fallbacks that give words of ours in the place of an answer."""
