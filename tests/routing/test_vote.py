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
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.vote import Vote

CARDS = [RouteCard("cats", "About cats."), RouteCard("dogs", "About dogs."), RouteCard("silent")]
CAT = RoutedMessage("a cat")


class Says:
    """A signal that says the same of every message."""

    def __init__(self, log_odds: Any, reason: str = "", needs_embedder: bool = False) -> None:
        self.needs_embedder = needs_embedder
        self._log_odds = log_odds
        self._reason = reason

    def __call__(self, embedder: TextEmbedder | None) -> Says:
        return self

    def fit(self, cards: Sequence[RouteCard]) -> Says:
        return self

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        if isinstance(self._log_odds, Exception):
            raise self._log_odds
        said: Mapping[str, float] = self._log_odds
        return said

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        return self._reason


def vote(monkeypatch: pytest.MonkeyPatch, weights: Mapping[str, float], **signals: Says) -> Vote:
    monkeypatch.setattr(ROUTER_SIGNALS, "_loaded", dict(signals))
    return Vote(weights, None)


def test_log_odds_are_weighted_and_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = {"one": Says({"cats": 1.0, "dogs": -1.0}, "purrs"), "other": Says({"cats": 0.5, "birds": 9.0}, "meows")}
    fitted = vote(monkeypatch, {"one": 2.0, "other": 4.0}, **signals).fit(CARDS)
    assert fitted.margins(CAT) == {"cats": 4.0, "dogs": -2.0}
    votes = fitted.explained(fitted.cast(CAT), "cats", CAT)
    assert [(said.weight, said.reason) for said in votes] == [(2.0, "purrs"), (4.0, "meows")]
    assert votes[1].log_odds == {"cats": 0.5, "birds": 9.0}


def test_a_signal_of_weight_zero_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = {"one": Says({"cats": 1.0}), "other": Says({"cats": 5.0, "dogs": 7.0})}
    fitted = vote(monkeypatch, {"one": 1.0, "other": 0.0}, **signals).fit(CARDS)
    assert fitted.margins(CAT) == {"cats": 1.0}


def test_an_adapter_of_which_no_signal_speaks_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    # 0 would be a margin from which adapters answer.
    fitted = vote(monkeypatch, {"one": 1.0}, one=Says({"dogs": -1.0})).fit(CARDS)
    assert fitted.margins(CAT) == {"dogs": -1.0}


def test_without_an_embedder_the_signals_that_need_one_are_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    signals = {"far": Says({"cats": 9.0}, needs_embedder=True), "near": Says({"cats": 1.0})}
    made = vote(monkeypatch, {"far": 1.0, "near": 2.0}, **signals)
    assert made.weights == {"near": 2.0}
    assert made.fit(CARDS).margins(CAT) == {"cats": 2.0}
    assert "decides without the signal 'far'" in caplog.text


def test_a_router_without_an_embedder_decides_by_the_other_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROUTER_SIGNALS, "_loaded", {"near": Says({"cats": 1.0, "dogs": -1.0}, "it purrs")})
    router = SemanticRouter(None, CARDS, signals={"near": 2.0})
    decision = router.decide([{"role": "user", "content": "a cat"}])
    assert decision.adapter == "cats"
    assert [(said.signal, said.weight, said.log_odds["cats"], said.reason) for said in decision.votes] == [
        ("near", 2.0, 1.0, "it purrs")
    ]


def test_where_no_signal_can_judge_the_base_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ROUTER_SIGNALS, "_loaded", {"silent": Says({})})
    decision = SemanticRouter(None, CARDS, signals={"silent": 1.0}).decide([{"role": "user", "content": "a cat"}])
    assert decision.adapter is None
    assert "no signal could judge" in decision.reason


def test_a_signal_sees_what_the_trunk_made_of_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []

    class Watches(Says):
        def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
            seen.append((message.text, message.trunk_mean is not None))
            return super().log_odds(message)

    monkeypatch.setattr(ROUTER_SIGNALS, "_loaded", {"trunk": Watches({"cats": -1.0})})
    router = SemanticRouter(None, CARDS, signals={"trunk": 1.0})
    router.decide_embedded(["first", "last"], None, trunk_means=np.zeros((2, 4), np.float32))
    router.decide_embedded(["alone"], None)
    assert seen == [("first", True), ("last", True), ("alone", False)]


@pytest.mark.parametrize(
    "said", [{"cats": math.nan}, {"cats": math.inf}, {"cats": "much"}, None, ZeroDivisionError("division by zero")]
)
def test_a_signal_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, said: Any) -> None:
    fitted = vote(monkeypatch, {"good": 1.0, "bad": 1.0}, good=Says({"cats": 1.0}), bad=Says(said)).fit(CARDS)
    with pytest.raises(ExtensionError, match="router signal 'bad' has failed"):
        fitted.margins(CAT)


def test_a_signal_that_nobody_has_is_refused_when_the_router_is_made() -> None:
    with pytest.raises(UnknownExtension, match="did you mean 'embedding'"):
        Vote({"embeding": 1.0}, None)


def test_other_signals_than_the_calibrated_ones_are_told(caplog: pytest.LogCaptureFixture) -> None:
    SemanticRouter(TextEmbedder(), signals={"embedding": 2.0})
    assert "calibrate again" in caplog.text
    caplog.clear()
    SemanticRouter(TextEmbedder())
    assert "calibrate again" not in caplog.text
