"""A question is decided by the trunk alone only where no label could change that, and one adapter is well ahead."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from adaptrix_core.routing.calibration import TRUNK_ALONE
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.feedback.thresholds import LOWERED_MOST, RAISED_MOST
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.signals.trunk import FittedTrunk, TrunkSignal
from adaptrix_core.routing.trunk.clear_reading import clear_decision

HIDDEN = 4
ACCEPT, LEAD = TRUNK_ALONE.accept, TRUNK_ALONE.lead
NAMES = ("math", "code")
MEANS = np.ones((1, HIDDEN), np.float32)


class Saying(FittedTrunk):
    """Probes that say what they are told to."""

    def __init__(self, odds: Mapping[str, float]) -> None:
        generator = np.random.default_rng(0)
        signal = TrunkSignal(lambda texts: generator.normal(size=(len(texts), HIDDEN)).astype(np.float32))
        fitted = signal.fit([RouteCard(name, examples=(f"{name} one", f"{name} two")) for name in odds])
        super().__init__(list(fitted.cards.values()), fitted.standard)
        self._odds = odds

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        return self._odds


@pytest.mark.parametrize(
    ("math", "code", "adapter"),
    [
        (ACCEPT + RAISED_MOST, -5.0, "math"),
        (-5.0, ACCEPT + RAISED_MOST, "code"),
        (ACCEPT + LEAD + 1.0, ACCEPT + 1.0, "math"),
        (ACCEPT - LOWERED_MOST - 0.01, -5.0, None),
    ],
)
def test_what_is_clear_is_decided(math: float, code: float, adapter: str | None) -> None:
    decision = clear_decision(NAMES, Saying({"math": math, "code": code}), MEANS)
    assert decision is not None
    assert decision.adapter == adapter
    assert "no other signal counts" in decision.reason
    (vote,) = decision.votes
    assert (vote.signal, vote.weight) == ("trunk", 1.0)


@pytest.mark.parametrize(
    ("math", "code"),
    [
        (ACCEPT + RAISED_MOST - 0.01, -5.0),
        (ACCEPT, -5.0),
        (ACCEPT - LOWERED_MOST + 0.01, -5.0),
        (ACCEPT + LEAD + 1.0, ACCEPT + 1.01),
        (ACCEPT + RAISED_MOST, ACCEPT - LOWERED_MOST + 0.01),
    ],
    ids=["could be raised", "at the threshold", "could be lowered", "two are near", "another could be lowered"],
)
def test_what_is_not_clear_is_left_open(math: float, code: float) -> None:
    assert clear_decision(NAMES, Saying({"math": math, "code": code}), MEANS) is None


def test_it_moves_with_the_threshold_of_the_settings() -> None:
    trunk = Saying({"math": ACCEPT + 1.0, "code": -9.0})
    assert clear_decision(NAMES, trunk, MEANS) is not None
    strict = TRUNK_ALONE.probability(ACCEPT + 1.1)
    assert clear_decision(NAMES, trunk, MEANS, strict) is None


def test_without_a_mean_or_a_probe_of_each_adapter_nothing_is_clear() -> None:
    trunk = Saying({"math": 9.0, "code": -9.0})
    assert clear_decision(NAMES, trunk, None) is None
    assert clear_decision((*NAMES, "newcomer"), trunk, MEANS) is None
    assert clear_decision((), trunk, MEANS) is None
    assert clear_decision(NAMES, trunk, np.concatenate([MEANS, MEANS])) is None
