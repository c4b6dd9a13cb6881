"""The vote: signals count by their weights, what they say is checked, and one that fails is named."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from adaptrix_core.errors import ExtensionError, UnknownExtension
from adaptrix_core.extensions import ROUTER_SIGNALS
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.vote import Vote

CARDS = [RouteCard("cats", "About cats."), RouteCard("dogs", "About dogs."), RouteCard("silent")]
ROW = np.zeros(3, np.float32)


class Says:
    """A signal that says the same of every message."""

    def __init__(self, log_odds: Any, reason: str = "") -> None:
        self._log_odds = log_odds
        self._reason = reason

    def __call__(self, embedder: TextEmbedder) -> Says:
        return self

    def fit(self, cards: Sequence[RouteCard]) -> Says:
        return self

    def log_odds(self, text: str, embedding: Any) -> Mapping[str, float]:
        if isinstance(self._log_odds, Exception):
            raise self._log_odds
        said: Mapping[str, float] = self._log_odds
        return said

    def reason(self, adapter: str, text: str, embedding: Any) -> str:
        return self._reason


def vote(monkeypatch: pytest.MonkeyPatch, weights: Mapping[str, float], **signals: Says) -> Vote:
    monkeypatch.setattr(ROUTER_SIGNALS, "_loaded", dict(signals))
    return Vote(weights, None)  # type: ignore[arg-type]  # none of these embeds anything


def test_log_odds_are_weighted_and_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = {"one": Says({"cats": 1.0, "dogs": -1.0}, "purrs"), "other": Says({"cats": 0.5, "birds": 9.0}, "meows")}
    fitted = vote(monkeypatch, {"one": 2.0, "other": 4.0}, **signals).fit(CARDS)
    assert fitted.margins("a cat", ROW) == {"cats": 4.0, "dogs": -2.0}
    assert fitted.reason("cats", "a cat", ROW) == "purrs; meows"


def test_a_signal_of_weight_zero_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = {"one": Says({"cats": 1.0}), "other": Says({"cats": 5.0, "dogs": 7.0})}
    fitted = vote(monkeypatch, {"one": 1.0, "other": 0.0}, **signals).fit(CARDS)
    assert fitted.margins("a cat", ROW) == {"cats": 1.0, "dogs": 0.0}


@pytest.mark.parametrize(
    "said", [{"cats": math.nan}, {"cats": math.inf}, {"cats": "much"}, None, ZeroDivisionError("division by zero")]
)
def test_a_signal_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    fitted = vote(monkeypatch, {"good": 1.0, "bad": 1.0}, good=Says({"cats": 1.0}), bad=Says(said)).fit(CARDS)
    with pytest.raises(ExtensionError, match="router signal 'bad' has failed"):
        fitted.margins("a cat", ROW)


def test_a_signal_that_nobody_has_is_refused_when_the_router_is_made() -> None:
    with pytest.raises(UnknownExtension, match="did you mean 'embedding'"):
        Vote({"embeding": 1.0}, None)  # type: ignore[arg-type]


def test_other_signals_than_the_calibrated_ones_are_told(caplog: pytest.LogCaptureFixture) -> None:
    SemanticRouter(TextEmbedder(), signals={"embedding": 2.0})
    assert "calibrate again" in caplog.text
    caplog.clear()
    SemanticRouter(TextEmbedder())
    assert "calibrate again" not in caplog.text
