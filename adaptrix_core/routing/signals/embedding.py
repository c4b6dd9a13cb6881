"""The embedding signal: how much more a message resembles an adapter's description and examples than other texts.

Knows cards and embeddings. Does not know what is decided by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import RoutedMessage, Vectors
from adaptrix_core.routing.scorer import LinearScorer, fit_scorer
from adaptrix_core.routing.signals.kept_vectors import KeptVectors

_SHOWN_CHARS = 60


@dataclass(frozen=True, eq=False)
class _FittedCard:
    card: RouteCard
    vectors: Vectors
    scorer: LinearScorer

    def nearest(self, row: Vectors) -> str:
        text = self.card.texts[int(np.argmax(self.vectors @ row))]
        return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


class FittedEmbeddings:
    """The fitted cards at one moment, their scorers side by side."""

    def __init__(self, fitted: Sequence[_FittedCard], dimension: int) -> None:
        self.cards = {entry.card: entry for entry in fitted}
        self._by_name = {entry.card.name: entry for entry in fitted}
        scorers = [entry.scorer for entry in fitted]
        self._weights = np.stack([s.weights for s in scorers]) if scorers else np.empty((0, dimension), np.float32)
        self._intercepts = np.array([scorer.intercept for scorer in scorers], np.float32)

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        """See `FittedSignal`."""
        if message.embedding is None:
            return {}
        # One product for each row, so that an adapter's number does not depend on how many others there are.
        margins = np.vecdot(self._weights, message.embedding) + self._intercepts
        return dict(zip(self._by_name, margins.tolist(), strict=True))

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        """See `FittedSignal`: the adapter's example that is nearest to the message."""
        if adapter not in self._by_name or message.embedding is None:
            return ""
        return f"nearest to its example {self._by_name[adapter].nearest(message.embedding)!r}"


class EmbeddingSignal:
    """Fits a scorer for each card, against the background of ordinary messages."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self._dimension = embedder.dimension
        self._vectors = KeptVectors(embedder)
        self._background = self._vectors.embed(prompts.background())
        self._fitted = FittedEmbeddings((), embedder.dimension)

    def fit(self, cards: Sequence[RouteCard]) -> FittedEmbeddings:
        """See `RouterSignal`. Only new and changed cards are embedded; those without any text are left out."""
        known = self._fitted.cards
        fitted = [known.get(card) or self._fit(card) for card in cards if card.texts]
        self._fitted = FittedEmbeddings(fitted, self._dimension)
        if fitted:  # a router begins with an empty catalogue: what is kept serves the one that follows
            self._vectors.keep([*prompts.background(), *(text for entry in fitted for text in entry.card.texts)])
        return self._fitted

    def _fit(self, card: RouteCard) -> _FittedCard:
        vectors = self._vectors.embed(card.texts)
        return _FittedCard(card, vectors, fit_scorer(vectors, self._background))
