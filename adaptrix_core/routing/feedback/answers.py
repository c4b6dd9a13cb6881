"""Labels of answers: each owner's move how sure answers must be for the owner, and for nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.confidence.feedback import AnswerLabel, thresholds_moved
from adaptrix_core.routing.feedback.label_book import OWNERS_KEPT, LabelBook


@dataclass(frozen=True)
class AnswerLabelTaken:
    """What a label of an answer has changed."""

    labels: int
    """Labels of this owner that are kept now, of all who answer."""
    moved: float
    """How far the threshold of who gave the answer is moved, in log-odds."""


class AnswerThresholds:
    """How far thresholds of confidence are moved, by owner. Any number of threads may ask and label at once."""

    def __init__(self, state_dir: Path) -> None:
        self._book = LabelBook(state_dir / "routing" / "answers", AnswerLabel.of_row)
        self._known: dict[bytes, Mapping[str, float]] = {}

    def of(self, owner: bytes) -> Mapping[str, float]:
        """By who answers, see `thresholds_moved`. Takes milliseconds where it is computed, once after each label."""
        moved = self._known.get(owner)
        if moved is None:
            if len(self._known) > OWNERS_KEPT:
                self._known.clear()
            moved = self._known[owner] = thresholds_moved(self._book.of(owner))
        return moved

    def label(self, owner: bytes, label: AnswerLabel) -> AnswerLabelTaken:
        """Note whether an answer was right. Raises OSError where that cannot be kept."""
        labels = self._book.add(owner, label)
        moved = self._known[owner] = thresholds_moved(labels)
        return AnswerLabelTaken(len(labels), moved[label.answerer])
