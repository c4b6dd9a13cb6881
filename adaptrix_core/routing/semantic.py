"""The semantic router: compares a message with each adapter's description and examples.

Knows the catalogue of adapter cards, which may change while requests run. Does not know adapters' weights.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.conversation import Message, excerpt, user_turns
from adaptrix_core.routing.embedder import TextEmbedder, Vectors
from adaptrix_core.routing.policy import NOTHING_KNOWN, Decision, Evidence, settle
from adaptrix_core.routing.scorer import LinearScorer, fit_scorer

__all__ = ["RouteCard", "SemanticRouter"]

logger = logging.getLogger(__name__)

RECENT_TURNS = 3
"""Earlier user turns that a message is compared with for its continuity."""

LIKENESS_WEIGHT = 2.0
"""Weight of the cosine to the nearest earlier turn, in log-odds; 1 to 3 did equally well on the calibration set."""

_SHOWN_CHARS = 60


@dataclass(frozen=True, eq=False)
class _Fitted:
    card: RouteCard
    vectors: Vectors
    scorer: LinearScorer

    def nearest(self, row: Vectors) -> str:
        text = self.card.texts[int(np.argmax(self.vectors @ row))]
        return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


class _Catalogue:
    """The fitted cards at one moment, their scorers side by side: one product scores a message for all of them."""

    def __init__(self, fitted: Mapping[str, _Fitted], dimension: int) -> None:
        self.fitted = fitted
        scorers = [entry.scorer for entry in fitted.values()]
        self._weights = np.stack([s.weights for s in scorers]) if scorers else np.empty((0, dimension), np.float32)
        self._intercepts = np.array([scorer.intercept for scorer in scorers], np.float32)

    def margins(self, row: Vectors) -> dict[str, float]:
        """By adapter, the margin of one embedding."""
        return dict(zip(self.fitted, (self._weights @ row + self._intercepts).tolist(), strict=True))


class SemanticRouter:
    """Decides by meaning. Decisions may run in any number of threads while the catalogue changes."""

    def __init__(
        self, embedder: TextEmbedder, catalogue: Iterable[RouteCard] = (), calibration: Calibration | None = None
    ) -> None:
        self.embedder = embedder
        self.calibration = calibration or Calibration()
        if self.calibration.embedder != embedder.source:
            logger.warning(
                "the routing thresholds were chosen with embedder %r, not %r; calibrate again",
                self.calibration.embedder,
                embedder.source,
            )
        self._background = embedder.embed(prompts.background())
        self._continuation = fit_scorer(embedder.embed(prompts.continuations()), self._background)
        self._change = threading.Lock()
        self._fitted = _Catalogue({}, embedder.dimension)
        self._cards: tuple[RouteCard, ...] = ()
        self.update(catalogue)

    @property
    def catalogue(self) -> tuple[RouteCard, ...]:
        """The cards that decisions are made with now."""
        return self._cards

    def update(self, catalogue: Iterable[RouteCard]) -> None:
        """Replace the catalogue; only new and changed cards are embedded. InvalidRequest for a name given twice."""
        cards = tuple(catalogue)
        names = [card.name for card in cards]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidRequest(f"two route cards are named {twice[0]!r}; names in a catalogue are unique")
        with self._change:
            kept = {fitted.card: fitted for fitted in self._fitted.fitted.values()}
            fitted = {card.name: kept.get(card) or self._fit(card) for card in cards if card.texts}
            # Plain assignments: a concurrent decision reads the old mapping or the new one, never a half.
            self._fitted = _Catalogue(fitted, self.embedder.dimension)
            self._cards = cards

    def decide(
        self, messages: Sequence[Message], previous: str | None = None, residency: Mapping[str, str] = NOTHING_KNOWN
    ) -> Decision:
        """Choose for the last user turn of ``messages`` (OpenAI chat messages).

        previous: the adapter that answered the previous turn. Without it, the earlier user turns are decided first, in
        order, so that a client that sends the whole conversation each time is treated alike. residency: of each
        adapter's weights (`near_tie.LOAD_COST`). Raises InvalidRequest for anything but a list of text messages.
        """
        return self.decide_embedded(self.embedder.embed(user_turns(messages)), previous, residency)

    def decide_embedded(
        self, turns: Vectors, previous: str | None = None, residency: Mapping[str, str] = NOTHING_KNOWN
    ) -> Decision:
        """`decide` for ``(turns, dimension)`` embeddings of a conversation's `user_turns`."""
        catalogue = self._fitted
        if not len(turns):
            return Decision({}, {}, 1.0, "base model: there is no user text to route", previous)
        start = 0 if previous is None else len(turns) - 1
        for index in range(start, len(turns)):
            evidence = self._evidence(turns[index], turns[max(0, index - RECENT_TURNS) : index], catalogue)
            decision = settle(evidence, previous, self.calibration, residency)
            previous = decision.adapter
        return decision

    def margins(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """By adapter, the ``(len(texts),)`` margins of ``texts`` without context, for calibration."""
        rows = self.embedder.embed([excerpt(text) for text in texts])
        return {name: fitted.scorer.margins(rows) for name, fitted in self._fitted.fitted.items()}

    def continuity(self, text: str, earlier: Sequence[str]) -> float:
        """`policy.Evidence.continuity` of ``text`` after ``earlier`` texts."""
        rows = self.embedder.embed([excerpt(text), *(excerpt(t) for t in earlier)])
        return self._continuity(rows[0], rows[1:])

    def _evidence(self, row: Vectors, earlier: Vectors, catalogue: _Catalogue) -> Evidence:
        margins = catalogue.margins(row)
        best = max(margins, key=lambda name: margins[name], default=None)
        nearest = {best: catalogue.fitted[best].nearest(row)} if best is not None else {}
        return Evidence(margins, self._continuity(row, earlier), nearest)

    def _continuity(self, row: Vectors, earlier: Vectors) -> float:
        likeness = float((earlier @ row).max()) if len(earlier) else 0.0
        return float(self._continuation.margins(row[None])[0]) + LIKENESS_WEIGHT * likeness

    def _fit(self, card: RouteCard) -> _Fitted:
        vectors = self.embedder.embed(card.texts)
        return _Fitted(card, vectors, fit_scorer(vectors, self._background))
