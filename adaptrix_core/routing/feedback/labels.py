"""Labels: what somebody said of a decision, and the margin that it was made with.

A label has no text: it holds the numbers that thresholds are chosen by, and nothing of what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
