"""Weights of signals: what tells prompts apart counts, noise and copies get 0, none is negative."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from adaptrix_core.errors import ConfigError
from adaptrix_core.routing.prompts import Labelled
from adaptrix_core.routing.signals.weights import fit_weights
from adaptrix_core.routing.vote import SignalVote

NAMES = ("cats", "dogs")
PROMPTS = [Labelled(f"prompt {n}", ("cats", "dogs", None)[n % 3]) for n in range(120)]


def votes(**signals: Callable[[np.random.Generator, bool], float]) -> list[list[SignalVote]]:
    """What each signal says of each prompt: a function of chance, and of whether the adapter is right."""
    chance = np.random.default_rng(7)
    return [
        [
            SignalVote(signal, 1.0, {name: say(chance, prompt.adapter == name) for name in NAMES})
            for signal, say in signals.items()
        ]
        for prompt in PROMPTS
    ]


def knows(chance: np.random.Generator, right: bool) -> float:
    return float(chance.normal(1.5 if right else -1.5, 1.0))


def guesses(chance: np.random.Generator, right: bool) -> float:
    return float(chance.normal(0.0, 1.0))


def test_noise_gets_no_weight_and_knowledge_all() -> None:
    found = fit_weights(PROMPTS, votes(noise=guesses, knows=knows), NAMES)
    assert found.weights == {"noise": 0.0, "knows": 1.0}


def test_two_that_know_different_things_share_the_weight() -> None:
    found = fit_weights(PROMPTS, votes(one=knows, other=knows), NAMES)
    assert found.weights["one"] == pytest.approx(0.5, abs=0.15)
    assert sum(found.weights.values()) == pytest.approx(1.0)
    first, both = found.losses.values()
    assert both < first


def test_one_that_is_always_wrong_is_left_out_and_not_turned_round() -> None:
    found = fit_weights(PROMPTS, votes(knows=knows, lies=lambda chance, right: -knows(chance, right)), NAMES)
    assert found.weights == {"knows": 1.0, "lies": 0.0}


def test_signals_of_which_none_knows_anything_are_an_error() -> None:
    with pytest.raises(ConfigError, match="no signal tells"):
        fit_weights(PROMPTS, votes(lies=lambda chance, right: -knows(chance, right)), NAMES)


@pytest.mark.parametrize("prompts", [PROMPTS[2::3], PROMPTS[0::3], [Labelled("x", "birds")]])
def test_prompts_for_adapters_and_for_the_base_are_both_needed(prompts: list[Labelled]) -> None:
    with pytest.raises(ConfigError, match="and some for the base model"):
        fit_weights(prompts, votes(knows=knows)[: len(prompts)], NAMES)
