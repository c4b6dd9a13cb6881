"""Labels of answers move thresholds: towards what holds for who labels, no further than the bounds, and by answerer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from adaptrix_core.confidence.feedback import (
    LOWERED_MOST,
    RAISED_MOST,
    AnswerLabel,
    threshold_for,
    thresholds_moved,
)
from adaptrix_core.routing.feedback.answers import AnswerThresholds
from adaptrix_core.routing.feedback.label_book import LABELS_KEPT


def drawn(shift: float, count: int, seed: int = 0) -> list[AnswerLabel]:
    """Labels of answers that are right as often as their confidence says, ``shift`` lower in log-odds."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0.5, 1.5, count)
    right = rng.random(count) < 1 / (1 + np.exp(shift - odds))
    return [AnswerLabel("a", float(1 / (1 + np.exp(-o))), bool(r)) for o, r in zip(odds, right, strict=True)]


def test_the_move_is_where_the_posterior_is_largest_by_search() -> None:
    labels = drawn(0.8, 60)
    odds = np.array([math.log(one.confidence / (1 - one.confidence)) for one in labels])
    signs = np.array([1 if one.right else -1 for one in labels])
    tried = np.linspace(-LOWERED_MOST, RAISED_MOST, 4001)
    posterior = [-np.log1p(np.exp(-signs * (odds - move))).sum() - move**2 / (2 * 0.7**2) for move in tried]
    assert thresholds_moved(labels)["a"] == pytest.approx(tried[int(np.argmax(posterior))], abs=1e-3)


def test_without_labels_and_for_others_the_threshold_is_what_was_asked_for() -> None:
    moved = thresholds_moved(drawn(2.0, 50))
    assert thresholds_moved([]) == {}
    assert threshold_for(0.7, moved, "another") == 0.7
    assert threshold_for(0.7, moved, "a") > 0.8


@pytest.mark.parametrize("right", [True, False])
def test_no_flood_of_labels_passes_the_bounds(right: bool) -> None:
    moved = thresholds_moved([AnswerLabel("a", 0.001 if right else 0.999, right)] * 5000)
    assert -LOWERED_MOST <= moved["a"] <= RAISED_MOST
    assert threshold_for(0.7, moved, "a") == pytest.approx(0.5860 if right else 0.9127, abs=1e-3)


def test_certain_confidences_are_labels_like_any_other() -> None:
    assert math.isfinite(thresholds_moved([AnswerLabel("a", 1.0, False), AnswerLabel("a", 0.0, True)])["a"])


def test_an_owners_labels_are_its_own_bounded_and_there_after_a_restart(tmp_path: Path) -> None:
    kept = AnswerThresholds(tmp_path)
    for _ in range(LABELS_KEPT + 5):
        taken = kept.label(b"loud", AnswerLabel("a", 0.9, False))
    assert taken.labels == LABELS_KEPT
    assert kept.of(b"loud")["a"] == taken.moved > 0
    assert kept.of(b"quiet") == {}
    assert AnswerThresholds(tmp_path).of(b"loud") == kept.of(b"loud")


@pytest.mark.parametrize("row", ["[1, 0.5, true]", '["a", 2, true]', '["a", NaN, true]', '["a", 0.5, 1]', '["a", 0.5]'])
def test_a_file_of_something_else_counts_as_none(tmp_path: Path, row: str) -> None:
    AnswerThresholds(tmp_path).label(b"me", AnswerLabel("a", 0.9, False))
    (file,) = (tmp_path / "routing" / "answers").iterdir()
    file.write_text(f"[{row}]")
    assert AnswerThresholds(tmp_path).of(b"me") == {}
