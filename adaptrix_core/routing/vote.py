"""The vote: the weighted sum of what the signals say of one message.

Log-odds of independent evidence add up (naive Bayes); a weight says how much a signal counts. Signals may come from
other packages (`extensions.py`), so what they say is checked, and a signal that fails is named.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaptrix_core.errors import ExtensionError
from adaptrix_core.extensions import ROUTER_SIGNALS, FittedSignal, RouterSignal

if TYPE_CHECKING:
    from adaptrix_core.routing.catalogue import RouteCard
    from adaptrix_core.routing.embedder import TextEmbedder
    from adaptrix_core.routing.message import RoutedMessage
    from adaptrix_core.routing.signals.trunk import TrunkReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SignalVote:
    """What one signal said of one message."""

    signal: str
    weight: float
    """The factor that its log-odds count with in the margins."""
    log_odds: Mapping[str, float]
    """By adapter name, natural; empty where the signal had nothing to judge by."""
    reason: str = ""
    """Half a sentence for people on what speaks for the adapter with the best margin; empty without any."""


class Vote:
    """The signals of one router, with their weights."""

    def __init__(
        self, weights: Mapping[str, float], embedder: TextEmbedder | None, trunk: TrunkReader | None = None
    ) -> None:
        """weights: by the signal's name. trunk: reads texts through the base model's trunk. Signals that need what is
        not there are left out, with a warning.

        Raises UnknownExtension, or ExtensionError where a signal cannot be made.
        """
        self._signals: dict[str, RouterSignal] = {}
        for name in weights:
            make = ROUTER_SIGNALS.get(name)
            if getattr(make, "needs_trunk", False):
                if trunk is not None:
                    self._signals[name] = make(trunk)  # type: ignore[arg-type]
                continue
            if embedder is None and getattr(make, "needs_embedder", True):
                logger.warning("the router has no embedder: it decides without the signal %r", name)
                continue
            with _naming(name):
                self._signals[name] = make(embedder)  # type: ignore[arg-type]  # None only where it needs none
        self.weights = {name: weights[name] for name in self._signals}
        """By the signal's name, of those that are asked."""

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

    def cast(self, message: RoutedMessage) -> tuple[SignalVote, ...]:
        """What each signal says of one message, without reasons. Raises ExtensionError."""
        votes = []
        for signal_name, signal in self._signals.items():
            with _naming(signal_name):
                said = {name: float(odds) for name, odds in signal.log_odds(message).items()}
                for name, odds in said.items():
                    if not math.isfinite(odds):
                        raise ValueError(f"its log-odds for {name!r} are {odds}")
            votes.append(SignalVote(signal_name, self._weights[signal_name], said))
        return tuple(votes)

    def added_up(self, votes: Sequence[SignalVote]) -> dict[str, float]:
        """By adapter, the weighted sum of what the signals said; adapters of which none spoke are left out."""
        totals: dict[str, float] = {}
        for vote in votes:
            for name, odds in vote.log_odds.items() if vote.weight else ():
                totals[name] = totals.get(name, 0.0) + vote.weight * odds
        return {name: totals[name] for name in self.names if name in totals}

    def margins(self, message: RoutedMessage) -> dict[str, float]:
        """`added_up` of what the signals say of one message. Raises ExtensionError."""
        return self.added_up(self.cast(message))

    def explained(self, votes: Sequence[SignalVote], adapter: str, message: RoutedMessage) -> tuple[SignalVote, ...]:
        """``votes`` with what speaks for ``adapter``. Raises ExtensionError."""
        explained = []
        for vote in votes:
            with _naming(vote.signal):
                reason = self._signals[vote.signal].reason(adapter, message)
            explained.append(SignalVote(vote.signal, vote.weight, vote.log_odds, reason))
        return tuple(explained)


@contextmanager
def _naming(signal: str) -> Iterator[None]:
    """Whatever error a signal raises becomes one that names it."""
    try:
        yield
    except ExtensionError:
        raise
    except Exception as error:
        raise ExtensionError(f"router signal {signal!r} has failed: {type(error).__name__}: {error}") from error
