"""Chooses each adapter's threshold by labels: within bounds, and never at the price of the base model's share.

A threshold tells a message's best adapter from the base model, so a label that another adapter is right is evidence for
neither. Pure: numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erf, sqrt

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.routing.feedback.labels import RouteLabel
from adaptrix_core.routing.message import Vectors

LOWERED_MOST = 0.6
"""How far below the calibrated one a threshold may come, in log-odds."""
RAISED_MOST = 0.05
"""How far above it: less, as a high threshold keeps an adapter from everybody who is right."""
BASE_SHARE = 0.97
"""Least share of the out-of-scope calibration prompts that the base model keeps, whatever labels say."""
SPREAD = 1.0
"""Standard deviation of the margins that a label stands for: those of messages like its own. Chosen on the rewordings,
as the bounds were."""
INERTIA = 0.02
"""Labels that a move of 1 in log-odds has to win; it decides where labels are silent."""
HALF_TRUSTED = 2
"""Labels of an adapter at which its threshold may go half as far as with many."""
STEPS = 46
"""Thresholds that are tried between the bounds."""


@dataclass(frozen=True)
class OutOfScope:
    """The out-of-scope calibration prompts as thresholds see them."""

    margins: Mapping[str, NDArray[np.float64]]
    """By adapter, the margins of those prompts whose best adapter it is."""

    @classmethod
    def of(cls, margins: Mapping[str, Vectors]) -> OutOfScope:
        """From the margins of all prompts, ``(prompts,)`` by adapter."""
        names = list(margins)
        rows = np.stack([margins[name] for name in names], axis=1).astype(np.float64) if names else np.empty((0, 0))
        best = rows.argmax(axis=1) if len(rows) else np.empty(0)
        return cls({name: rows[best == place, place] for place, name in enumerate(names)})

    @property
    def total(self) -> int:
        """How many prompts there are."""
        return sum(map(len, self.margins.values()))

    def leaving(self, name: str, threshold: float) -> int:
        """How many would leave the base model for ``name``."""
        return int((self.margins[name] >= threshold).sum()) if name in self.margins else 0


def adjusted(labels: Sequence[RouteLabel], accept: float, outside: OutOfScope) -> dict[str, float]:
    """By adapter, the threshold that suits ``labels`` best; adapters without labels keep ``accept`` and are left out.

    Every threshold is at most `LOWERED_MOST` under ``accept`` and `RAISED_MOST` over it. Of the out-of-scope prompts no
    more leave the base model than `BASE_SHARE` allows, or than leave it at ``accept`` where those are more.
    """
    told = sorted({label.best for label in labels if label.right in (label.best, None)})
    at_first = sum(outside.leaving(name, accept) for name in outside.margins)
    room = max(int((1 - BASE_SHARE) * outside.total + 1e-9), at_first)
    room -= sum(outside.leaving(name, accept) for name in outside.margins if name not in told)
    # By the number of prompts that have left so far: what the best choice is worth in labels, and the choice.
    ways: dict[int, tuple[float, dict[str, float]]] = {0: (0.0, {})}
    for name in told:
        choices = _choices(name, labels, accept, outside)
        further: dict[int, tuple[float, dict[str, float]]] = {}
        for left, (worth, chosen) in ways.items():
            for leaving, (more, threshold) in choices.items():
                now = left + leaving
                if now <= room and (now not in further or worth + more > further[now][0]):
                    further[now] = (worth + more, {**chosen, name: threshold})
        ways = further
    return max(ways.values(), key=lambda way: way[0])[1]


def _choices(
    name: str, labels: Sequence[RouteLabel], accept: float, outside: OutOfScope
) -> dict[int, tuple[float, float]]:
    """By the number of out-of-scope prompts that leave: (what the best such threshold is worth, that threshold)."""
    mine = [label for label in labels if label.best == name and label.right in (name, None)]
    trusted = len(mine) / (len(mine) + HALF_TRUSTED)
    choices: dict[int, tuple[float, float]] = {}
    for threshold in (accept, *np.linspace(accept - trusted * LOWERED_MOST, accept + trusted * RAISED_MOST, STEPS)):
        right = sum(_share_right(label, name, float(threshold)) for label in mine)
        worth = right - INERTIA * abs(float(threshold) - accept)
        leaving = outside.leaving(name, float(threshold))
        if leaving not in choices or worth > choices[leaving][0]:
            choices[leaving] = (worth, float(threshold))
    return choices


def _share_right(label: RouteLabel, name: str, threshold: float) -> float:
    """Of the messages that the label stands for, the share that this threshold decides rightly."""
    above = 0.5 * (1 + erf((label.margin - threshold) / (SPREAD * sqrt(2))))
    return above if label.right == name else 1 - above
