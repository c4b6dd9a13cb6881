"""Breaks near-ties: of adapters that a message fits equally well, the one that is cheapest to load answers.

Knows margins and residency. A clear winner is never overridden; `policy.py` decides which adapters are tied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adaptrix_core.adapters.residency.tiers import ABSENT, Residency

LOAD_COST: Mapping[Residency, int] = {"device": 0, "host": 1, "disk": 2, ABSENT: 3}
"""Cost of loading by residency, as ranks: nothing, a copy, reading and verifying, fetching as well."""

_WORDS: Mapping[Residency, str] = {
    "device": "on a device",
    "host": "in host memory",
    "disk": "on disk",
    ABSENT: "on no replica",
}


def cheapest(candidates: Sequence[str], margins: Mapping[str, float], residency: Mapping[str, Residency]) -> str:
    """Of ``candidates`` the one that is cheapest to load, of equally cheap ones the one with the best margin.

    residency: by adapter name; a missing adapter is on no replica. If it is empty, the best margin decides.
    """
    return min(candidates, key=lambda name: (LOAD_COST[residency.get(name, ABSENT)], -margins[name]))


def why(chosen: str, best: str, residency: Mapping[str, Residency]) -> str:
    """Why ``chosen`` answers in place of ``best``, for people."""
    here, there = (_WORDS[residency.get(name, ABSENT)] for name in (chosen, best))
    return f"{chosen} is {here}, {best} {there}"
