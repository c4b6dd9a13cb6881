"""The trunk signal: what the base model itself has made of a question, where its trunk ends.

The mean of its hidden state over the question's tokens tells topics apart without a second model and without a pass of
its own. One regression per adapter on the standardised mean, its examples against everyday messages, as for the
embedder's vectors (`embedding.py`). Knows means and cards. Does not know engines: the means come from `trunk/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.message import RoutedMessage, Vectors
from adaptrix_core.routing.scorer import LinearScorer, fit_scorer

LENGTH = 3.0
"""Length of the vectors that the regressions see: with one of 1 the penalty would leave the log-odds too small."""
LEAST_DEVIATION = 1e-6
"""Standard deviation that a dimension is divided by at least: one that never changes tells nothing."""


class TrunkReader(Protocol):
    """Gives the means of texts that are known beforehand."""

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        """Mean state at the cut over each text's tokens, ``(texts, hidden)``."""


@dataclass(frozen=True, eq=False)
class Standard:
    """The usual state of one base model at its cut, over everyday messages."""

    mean: Vectors
    """``(hidden,)``"""
    deviation: Vectors
    """``(hidden,)``"""

    @classmethod
    def of(cls, means: Vectors) -> Standard:
        """The standard that ``means``, ``(n, hidden)``, set."""
        return cls(means.mean(0), np.maximum(means.std(0), LEAST_DEVIATION))

    def vectors(self, means: Vectors) -> Vectors:
        """``(n, hidden)`` -> the same, standardised in each dimension, each row of length 1."""
        rows = (means - self.mean) / self.deviation
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), LEAST_DEVIATION), np.float32)


@dataclass(frozen=True, eq=False)
class _Probe:
    card: RouteCard
    scorer: LinearScorer


class FittedTrunk:
    """The probes of a catalogue, side by side: ``(adapters, hidden)`` weights and their intercepts."""

    def __init__(self, probes: Sequence[_Probe], standard: Standard) -> None:
        self.cards = {probe.card: probe for probe in probes}
        self.standard = standard
        self._names = [probe.card.name for probe in probes]
        scorers = [probe.scorer for probe in probes]
        hidden = len(standard.mean)
        self._weights = np.stack([s.weights for s in scorers]) if scorers else np.empty((0, hidden), np.float32)
        self._intercepts = np.array([scorer.intercept for scorer in scorers], np.float32)

    def called(self, names: Mapping[str, str]) -> FittedTrunk:
        """The probes of some adapters alone, each under another name. names: by that name, the one here."""
        known = {probe.card.name: probe for probe in self.cards.values()}
        probes = {other: known[name] for other, name in names.items() if name in known}
        return FittedTrunk(
            [_Probe(replace(probe.card, name=other), probe.scorer) for other, probe in probes.items()], self.standard
        )

    @property
    def hidden(self) -> int:
        """Length of the means that it reads."""
        return len(self.standard.mean)

    @property
    def names(self) -> tuple[str, ...]:
        """The adapters that have a probe."""
        return tuple(self._names)

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        """See `FittedSignal`."""
        if message.trunk_mean is None or message.trunk_mean.shape != self.standard.mean.shape:
            return {}
        vector = LENGTH * self.standard.vectors(message.trunk_mean[None])[0]
        # One product for each row, so that an adapter's number does not depend on how many others there are.
        return dict(zip(self._names, (np.vecdot(self._weights, vector) + self._intercepts).tolist(), strict=True))

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        """See `FittedSignal`."""
        odds = self.log_odds(message).get(adapter)
        return "" if odds is None else f"the base model's own reading of it says {odds:+.2f}"


class TrunkSignal:
    """Fits a probe for each card, against the background of ordinary messages."""

    needs_embedder: ClassVar[bool] = False
    needs_trunk: ClassVar[bool] = True

    def __init__(self, read: TrunkReader) -> None:
        """Reads the background, about a hundred short texts, unless ``read`` knows them."""
        self._read = read
        background = read(prompts.background())
        self.standard = Standard.of(background)
        self._background = LENGTH * self.standard.vectors(background)
        self._fitted = FittedTrunk((), self.standard)

    def fit(self, cards: Sequence[RouteCard]) -> FittedTrunk:
        """See `RouterSignal`. Only new and changed cards are read; those without any text are left out."""
        known = self._fitted.cards
        probes = [known.get(card) or self._fit(card) for card in cards if card.texts]
        self._fitted = FittedTrunk(probes, self.standard)
        return self._fitted

    def _fit(self, card: RouteCard) -> _Probe:
        vectors = LENGTH * self.standard.vectors(self._read(card.texts))
        return _Probe(card, fit_scorer(vectors, self._background))
