"""The bar of routing is right answers: what an adapter was not taught is kept from it, where that was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adaptrix_core.routing.catalogue import cards_in
from adaptrix_core.routing.embedder import PACKAGED, TextEmbedder
from benchmarks.routing.answers import run_answers

ADAPTERS = Path(__file__).resolve().parents[2] / "adapters"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_measured_tasks_answer_more_than_the_topic_does_and_lose_nothing_that_was_taught() -> None:
    told: Any = run_answers(cards_in(str(ADAPTERS)), TextEmbedder(PACKAGED))
    right = {name: row["right"] for name, row in told.items() if isinstance(row, dict)}
    assert right["by measured tasks, taught"] >= right["by topic, taught"] - 1
    assert right["by topic, taught"] >= right["base alone, taught"] + 12  # of 24
    assert right["by measured tasks, not taught"] >= right["base alone, not taught"]  # of 48
    assert right["by measured tasks, not taught"] >= right["by topic, not taught"] + 6
