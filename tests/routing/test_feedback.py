"""Thresholds follow feedback within bounds: they help who is right, and nobody can move another's or go past them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.catalogue import RouteCard, suggested
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.feedback.adaptive import AdaptiveThresholds
from adaptrix_core.routing.feedback.label_book import LABELS_KEPT, OWNERS_KEPT, LabelBook
from adaptrix_core.routing.feedback.labels import RouteLabel
from adaptrix_core.routing.feedback.thresholds import BASE_SHARE, LOWERED_MOST, RAISED_MOST, OutOfScope, adjusted
from adaptrix_core.routing.prompts import Labelled
from adaptrix_core.routing.semantic import SemanticRouter

ACCEPT = 0.0
NAMES = ("cats", "dogs")
OUTSIDE = OutOfScope({"cats": np.linspace(-3.0, 0.05, 60), "dogs": np.linspace(-3.0, -0.8, 40)})
LABELS = st.lists(
    st.builds(RouteLabel, st.sampled_from([*NAMES, "birds", None]), st.sampled_from(NAMES), st.floats(-9, 9)),
    max_size=60,
)


def leaving(thresholds: dict[str, float]) -> int:
    return sum(OUTSIDE.leaving(name, thresholds.get(name, ACCEPT)) for name in NAMES)


@given(LABELS)
def test_whatever_labels_say_thresholds_stay_in_bounds_and_the_base_keeps_its_share(labels: list[RouteLabel]) -> None:
    thresholds = adjusted(labels, ACCEPT, OUTSIDE)
    for threshold in thresholds.values():
        assert ACCEPT - LOWERED_MOST - 1e-9 <= threshold <= ACCEPT + RAISED_MOST + 1e-9
    assert leaving(thresholds) <= (1 - BASE_SHARE) * OUTSIDE.total


def test_labels_lower_the_threshold_of_an_adapter_that_was_right_below_it() -> None:
    thresholds = adjusted([RouteLabel("dogs", "dogs", -0.3)] * 5, ACCEPT, OUTSIDE)
    assert set(thresholds) == {"dogs"}
    assert thresholds["dogs"] < -0.3


def test_labels_raise_the_threshold_of_an_adapter_that_was_wrong_above_it() -> None:
    assert 0 < adjusted([RouteLabel(None, "dogs", 0.01)] * 9, ACCEPT, OUTSIDE)["dogs"] <= RAISED_MOST


def test_one_label_moves_less_than_many() -> None:
    one, many = (adjusted([RouteLabel("dogs", "dogs", -0.1)] * n, ACCEPT, OUTSIDE)["dogs"] for n in (1, 50))
    assert ACCEPT > one > many


def test_that_another_adapter_was_right_moves_nothing() -> None:
    assert adjusted([RouteLabel("cats", "dogs", 0.2)] * 9, ACCEPT, OUTSIDE) == {}


@pytest.fixture
def thresholds(shipped: SemanticRouter, tmp_path: Path) -> AdaptiveThresholds:
    """Over the shipped cards, nothing labelled."""
    return AdaptiveThresholds(shipped, tmp_path)


def label(router: SemanticRouter, thresholds: AdaptiveThresholds, owner: bytes, row: Labelled) -> None:
    decision = router.decide([{"role": "user", "content": row.prompt}])
    thresholds.label(owner, decision, row.adapter)


def right(router: SemanticRouter, rows: list[Labelled], accepts: dict[str, float]) -> float:
    decided = [router.decide([{"role": "user", "content": row.prompt}], accepts=accepts).adapter for row in rows]
    return float(np.mean([adapter == row.adapter for adapter, row in zip(decided, rows, strict=True)]))


@pytest.mark.parametrize(
    ("calibration", "least"),
    [
        (Calibration(accept=-0.057, slope=3.354, intercept=0.315, signals={"embedding": 1.0}), 0.045),
        (Calibration(), 0.02),
    ],
)
def test_after_fifty_labels_recall_is_better_and_the_base_keeps_its_share(
    embedder: TextEmbedder, tmp_path: Path, calibration: Calibration, least: float
) -> None:
    # docs/routing.md has the means of more draws: the built-in signals leave less to gain than the embedding alone.
    shipped = SemanticRouter(embedder, suggested(), calibration)
    rows = list(prompts.rewordings())
    outside = [Labelled(text, None) for text in prompts.out_of_scope("test")]
    shipped.messages([row.prompt for row in (*rows, *outside)])
    gains, shares = [], []
    for draw in range(12):
        thresholds = AdaptiveThresholds(shipped, tmp_path / str(draw))
        order = np.random.default_rng(draw).permutation(len(rows))
        for place in order[:50]:
            label(shipped, thresholds, b"me", rows[place])
        kept = [rows[place] for place in order[50:] if rows[place].adapter is not None]
        accepts = dict(thresholds.of(b"me"))
        gains.append(right(shipped, kept, accepts) - right(shipped, kept, {}))
        shares.append(right(shipped, outside, accepts))
    assert np.mean(gains) >= least
    assert min(shares) >= BASE_SHARE


@pytest.mark.parametrize("lie", ["everything is an adapter's", "nothing is an adapter's"])
def test_fifty_false_labels_move_nothing_past_the_bound_nor_anything_of_others(
    shipped: SemanticRouter, thresholds: AdaptiveThresholds, lie: str
) -> None:
    adapters = [card.name for card in shipped.catalogue]
    outside = [Labelled(text, None) for text in prompts.out_of_scope("test")]
    texts = (
        prompts.out_of_scope("test")[:50] if lie.startswith("every") else [p.prompt for p in prompts.paraphrases()][:50]
    )
    for text in texts:
        decision = shipped.decide([{"role": "user", "content": text}])
        best = max(decision.margins, key=lambda name: decision.margins[name])
        thresholds.label(b"attacker", decision, best if lie.startswith("every") else None)
    accepts = dict(thresholds.of(b"attacker"))
    accept = shipped.calibration.accept
    assert accepts
    assert set(accepts) <= set(adapters)
    assert all(accept - LOWERED_MOST <= value <= accept + RAISED_MOST for value in accepts.values())
    assert right(shipped, outside, accepts) >= BASE_SHARE
    recalled = [Labelled(row.prompt, row.family) for row in prompts.paraphrases()]
    assert right(shipped, recalled, accepts) >= right(shipped, recalled, {}) - 0.03
    assert thresholds.of(b"somebody else") == {}


def test_labels_survive_a_restart(shipped: SemanticRouter, thresholds: AdaptiveThresholds, tmp_path: Path) -> None:
    for row in prompts.rewordings()[:40]:
        label(shipped, thresholds, b"me", row)
    again = AdaptiveThresholds(shipped, tmp_path)
    assert again.known(b"me") is None  # to be computed
    assert again.of(b"me") == thresholds.of(b"me") != {}
    assert again.known(b"me") == thresholds.of(b"me")


def test_labels_of_another_card_or_embedder_say_nothing(embedder: TextEmbedder, tmp_path: Path) -> None:
    router = SemanticRouter(embedder, suggested())
    thresholds = AdaptiveThresholds(router, tmp_path)
    for row in prompts.rewordings()[:48]:
        label(router, thresholds, b"me", row)
    before = thresholds.of(b"me")
    router.update([RouteCard(card.name, "Something else.", card.examples[:3]) for card in suggested()])
    assert before
    assert thresholds.known(b"me") is None
    assert thresholds.of(b"me") == {}
    router.update(suggested())
    assert thresholds.of(b"me") == before


def test_an_unknown_adapter_is_refused_with_the_nearest_names(
    shipped: SemanticRouter, thresholds: AdaptiveThresholds
) -> None:
    decision = shipped.decide([{"role": "user", "content": "What is 2 + 2?"}])
    with pytest.raises(InvalidRequest, match="did you mean 'math_reasoning'"):
        thresholds.label(b"me", decision, "math_reasonin")
    assert thresholds.of(b"me") == {}


def test_a_message_without_text_is_no_label(shipped: SemanticRouter, thresholds: AdaptiveThresholds) -> None:
    decision = shipped.decide([{"role": "user", "content": "  "}])
    assert thresholds.label(b"me", decision, None).labels == 0


def test_a_flood_of_labels_is_bounded_and_pushes_out_only_the_senders_own(tmp_path: Path) -> None:
    book = LabelBook(tmp_path, RouteLabel.of_row)
    book.add(b"quiet", RouteLabel("cats", "cats", 1.0))
    for number in range(LABELS_KEPT + 40):
        book.add(b"loud", RouteLabel("dogs", "dogs", float(number)))
    assert [label.margin for label in book.of(b"loud")] == [float(n) for n in range(40, LABELS_KEPT + 40)]
    assert len(book.of(b"quiet")) == 1


def test_the_owners_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaptrix_core.routing.feedback.label_book.OWNERS_KEPT", 3)
    book = LabelBook(tmp_path, RouteLabel.of_row)
    for owner in (b"a", b"b", b"c", b"a", b"d"):
        book.add(owner, RouteLabel(None, "cats", 0.0))
    assert [bool(book.of(owner)) for owner in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert len(list(tmp_path.iterdir())) == 3 < OWNERS_KEPT


@pytest.mark.parametrize("content", ["", "{", "[1]", '[["a", "b", "much", "c"]]', '[[1, "b", 0.5, "c"]]', "[" * 5000])
def test_a_file_that_cannot_be_read_counts_as_none(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    book = LabelBook(tmp_path, RouteLabel.of_row)
    book.add(b"me", RouteLabel(None, "cats", 0.5))
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    os.utime(file)
    assert LabelBook(tmp_path, RouteLabel.of_row).of(b"me") == ()
    assert "cannot be read" in caplog.text
