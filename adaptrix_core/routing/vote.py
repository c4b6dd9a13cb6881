"""The vote: the weighted sum of what the signals say of one message.

Log-odds of independent evidence add up (naive Bayes); a weight says how much a signal counts. Signals may come from
other packages (`extensions.py`), so what they say is checked, and a signal that fails is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adaptrix_core.errors import ExtensionError
from adaptrix_core.extensions import ROUTER_SIGNALS, FittedSignal, RouterSignal
from adaptrix_core.routing.catalogue import RouteCard

if TYPE_CHECKING:
    from adaptrix_core.routing.embedder import TextEmbedder, Vectors

EMBEDDING_ALONE: Mapping[str, float] = {"embedding": 1.0}


class Vote:
    """The signals of one router, with their weights."""

    def __init__(self, weights: Mapping[str, float], embedder: TextEmbedder) -> None:
        """weights: by the signal's name. Raises UnknownExtension, or ExtensionError where one cannot be made."""
        self.weights = dict(weights)
        self._signals: dict[str, RouterSignal] = {}
        for name in weights:
            make = ROUTER_SIGNALS.get(name)
            with _naming(name):
                self._signals[name] = make(embedder)

    def fit(self, cards: Sequence[RouteCard]) -> FittedVote:
        """The vote for these adapters. Raises ExtensionError, naming the signal that failed."""
        fitted: dict[str, FittedSignal] = {}
        for name, signal in self._signals.items():
            with _naming(name):
                fitted[name] = signal.fit(cards)
        return FittedVote(fitted, self.weights, [card.name for card in cards if card.texts])


class FittedVote:
    """The vote over one catalogue. Any number of threads may ask at once."""

    def __init__(self, signals: Mapping[str, FittedSignal], weights: Mapping[str, float], names: Sequence[str]) -> None:
        self._signals = signals
        self._weights = weights
        self.names = tuple(names)
        """Adapters with a card that says something; the others are never chosen by meaning."""

    def margins(self, text: str, embedding: Vectors) -> dict[str, float]:
        """By adapter, the sum of all signals' log-odds for one message. Raises ExtensionError."""
        margins = dict.fromkeys(self.names, 0.0)
        for signal_name, signal in self._signals.items():
            with _naming(signal_name):
                said = signal.log_odds(text, embedding)
                for name in margins.keys() & said.keys():
                    if not math.isfinite(said[name]):
                        raise ValueError(f"its log-odds for {name!r} are {said[name]}")
                    margins[name] += self._weights[signal_name] * said[name]
        return margins

    def reason(self, adapter: str, text: str, embedding: Vectors) -> str:
        """What the signals say for ``adapter``, for people; empty where they say nothing."""
        reasons = []
        for name, signal in self._signals.items():
            with _naming(name):
                reasons.append(signal.reason(adapter, text, embedding))
        return "; ".join(filter(None, reasons))


@contextmanager
def _naming(signal: str) -> Iterator[None]:
    """Whatever error a signal raises becomes one that names it."""
    try:
        yield
    except ExtensionError:
        raise
    except Exception as error:
        raise ExtensionError(f"router signal {signal!r} has failed: {type(error).__name__}: {error}") from error
