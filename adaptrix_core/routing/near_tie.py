"""Which of several adapters that a message fits equally well answers: the one that costs least to load.

Knows margins and where weights are. A clear winner is never overridden; `policy.py` says who may take part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ABSENT = "absent"
LOAD_COST = {"device": 0, "host": 1, "disk": 2, ABSENT: 3}
"""Residencies in the order of what a request waits for: nothing, a copy, reading and checking, fetching as well."""

_WORDS = {"device": "on a device", "host": "in host memory", "disk": "on disk", ABSENT: "on no replica"}


def cheapest(candidates: Sequence[str], margins: Mapping[str, float], residency: Mapping[str, str]) -> str:
    """Of ``candidates`` the one that is cheapest to load, of equally cheap ones the one with the best margin.

    ``residency`` by adapter name; who is missing in it is on no replica. Nothing known at all: the best margin.
    """
    return min(candidates, key=lambda name: (LOAD_COST[residency.get(name, ABSENT)], -margins[name]))


def why(chosen: str, best: str, residency: Mapping[str, str]) -> str:
    """Why ``chosen`` answers in place of ``best``, for people."""
    here, there = (_WORDS[residency.get(name, ABSENT)] for name in (chosen, best))
    return f"{chosen} is {here}, {best} {there}"
