"""The router: compares a message with what each adapter says it is for.

Knows the catalogue of adapter cards, which may change while requests run. Does not know adapters' weights or where they
are.
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
from adaptrix_core.routing.policy import Decision, Evidence, Resolved, settle
from adaptrix_core.routing.scorer import LinearScorer, fit_scorer

__all__ = ["RouteCard", "SemanticRouter"]

logger = logging.getLogger(__name__)

RECENT_TURNS = 3
"""Earlier user turns that a message is compared with to see whether it goes on with the conversation."""

LIKENESS_WEIGHT = 2.0
"""What a cosine of 1 to an earlier turn counts for, in log-odds; 1 to 3 did alike on the calibration set."""

_SHOWN_CHARS = 60


@dataclass(frozen=True, eq=False)
class _Fitted:
    card: RouteCard
    vectors: Vectors
    scorer: LinearScorer

    def nearest(self, row: Vectors) -> str:
        text = self.card.texts[int(np.argmax(self.vectors @ row))]
        return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


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
        self._fitted: Mapping[str, _Fitted] = {}
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
            kept = {fitted.card: fitted for fitted in self._fitted.values()}
            fitted = {card.name: kept.get(card) or self._fit(card) for card in cards if card.texts}
            # Two plain assignments: a decision that runs meanwhile reads the old mapping or the new one, never half.
            self._fitted = fitted
            self._cards = cards

    def decide(self, messages: Sequence[Message], previous: str | None = None) -> Decision:
        """Choose for the last user turn of ``messages`` (OpenAI chat messages).

        ``previous`` is the adapter that answered the turn before. Without it, the earlier user turns are decided first,
        in order, so that a client that sends the whole conversation each time gets the same favour. Raises
        InvalidRequest for messages that are not messages or not text.
        """
        turns = user_turns(messages)
        fitted = self._fitted
        if not turns:
            return Resolved({}, {}, 1.0, "base model: there is no user text to route", previous)
        rows = self.embedder.embed(turns)
        start = 0 if previous is None else len(turns) - 1
        for index in range(start, len(turns)):
            evidence = self._evidence(rows[index], rows[max(0, index - RECENT_TURNS) : index], fitted)
            decision = settle(evidence, previous, self.calibration)
            previous = decision.adapter
        return decision

    def margins(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """By adapter, the ``(len(texts),)`` margins of ``texts`` taken alone: what thresholds are chosen on."""
        rows = self.embedder.embed([excerpt(text) for text in texts])
        return {name: fitted.scorer.margins(rows) for name, fitted in self._fitted.items()}

    def continuity(self, text: str, earlier: Sequence[str]) -> float:
        """How much ``text`` goes on with ``earlier`` texts, as `policy.Evidence` has it."""
        rows = self.embedder.embed([excerpt(text), *(excerpt(t) for t in earlier)])
        return self._continuity(rows[0], rows[1:])

    def _evidence(self, row: Vectors, earlier: Vectors, fitted: Mapping[str, _Fitted]) -> Evidence:
        margins = {name: float(entry.scorer.margins(row[None])[0]) for name, entry in fitted.items()}
        best = max(margins, key=lambda name: margins[name], default=None)
        nearest = {best: fitted[best].nearest(row)} if best is not None else {}
        return Evidence(margins, self._continuity(row, earlier), nearest)

    def _continuity(self, row: Vectors, earlier: Vectors) -> float:
        likeness = float((earlier @ row).max()) if len(earlier) else 0.0
        return float(self._continuation.margins(row[None])[0]) + LIKENESS_WEIGHT * likeness

    def _fit(self, card: RouteCard) -> _Fitted:
        vectors = self.embedder.embed(card.texts)
        return _Fitted(card, vectors, fit_scorer(vectors, self._background))
