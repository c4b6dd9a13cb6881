"""Labels: what somebody said of a decision, and the margin that it was made with.

A label has no text: it holds the numbers that thresholds are chosen by, and nothing of what was asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class RouteLabel:
    """Who should have answered one message."""

    right: str | None
    """The adapter's name; None is the base model."""
    best: str
    """The adapter with the best margin: the one that answers if the margin reaches its threshold."""
    margin: float
    """The best adapter's."""
    basis: str = ""
    """What the margin depends on, as a digest: signals, thresholds, the best adapter's card. A label of another basis
    says nothing."""

    def as_row(self) -> list[Any]:
        """As JSON."""
        return [self.right, self.best, self.margin, self.basis]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """From `as_row`. Raises ValueError or TypeError for anything else."""
        right, best, margin, basis = row
        names = isinstance(best, str) and isinstance(basis, str) and (right is None or isinstance(right, str))
        if not names or not math.isfinite(float(margin)):
            raise ValueError(f"{row!r:.80} is no label of a decision")
        return cls(right, best, float(margin), basis)


@dataclass(frozen=True)
class LabelTaken:
    """What a label has changed."""

    decided: str | None
    """The adapter that the message goes to, by the thresholds before; None is the base model."""
    labels: int
    """Labels of this owner that are kept now."""
    calibrated: float
    """The threshold of adapters without labels, as a score."""
    thresholds: Mapping[str, float]
    """By adapter, the threshold where it is another one, as a score."""
    learnt: int | None = None
    """Messages that the router has learnt, with this one; None where it was not to be learnt."""
