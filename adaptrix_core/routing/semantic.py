"""The semantic router: decides by what its signals say of a message and each adapter's card.

Knows the catalogue of adapter cards, which may change while requests run. Does not know adapters' weights.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.conversation import Message, excerpt, user_turns
from adaptrix_core.routing.embedder import TextEmbedder, Vectors
from adaptrix_core.routing.policy import NOTHING_KNOWN, Decision, Evidence, settle
from adaptrix_core.routing.scorer import fit_scorer
from adaptrix_core.routing.vote import EMBEDDING_ALONE, FittedVote, Vote

__all__ = ["RouteCard", "SemanticRouter"]

logger = logging.getLogger(__name__)

RECENT_TURNS = 3
"""Earlier user turns that a message is compared with for its continuity."""

LIKENESS_WEIGHT = 2.0
"""Weight of the cosine to the nearest earlier turn, in log-odds; 1 to 3 did equally well on the calibration set."""


@dataclass(frozen=True)
class _Catalogue:
    """The cards at one moment, and the vote over them."""

    cards: tuple[RouteCard, ...]
    vote: FittedVote


class SemanticRouter:
    """Decides by meaning. Decisions may run in any number of threads while the catalogue changes."""

    def __init__(
        self,
        embedder: TextEmbedder,
        catalogue: Iterable[RouteCard] = (),
        calibration: Calibration | None = None,
        signals: Mapping[str, float] = EMBEDDING_ALONE,
    ) -> None:
        """signals: weights by name, of `extensions.ROUTER_SIGNALS`. Raises ExtensionError where one cannot be used."""
        self.embedder = embedder
        self.calibration = calibration or Calibration()
        self._warn_where_uncalibrated(signals)
        background = embedder.embed(prompts.background())
        self._continuation = fit_scorer(embedder.embed(prompts.continuations()), background)
        self._change = threading.Lock()
        self._vote = Vote(signals, embedder)
        self._fitted = _Catalogue((), self._vote.fit(()))
        self.update(catalogue)

    @property
    def signals(self) -> Mapping[str, float]:
        """The weights of the signals, by name."""
        return self._vote.weights

    @property
    def catalogue(self) -> tuple[RouteCard, ...]:
        """The cards that decisions are made with now."""
        return self._fitted.cards

    def update(self, catalogue: Iterable[RouteCard]) -> None:
        """Replace the catalogue; only new and changed cards are embedded. InvalidRequest for a name given twice."""
        cards = tuple(catalogue)
        names = [card.name for card in cards]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidRequest(f"two route cards are named {twice[0]!r}; names in a catalogue are unique")
        with self._change:
            # One assignment: a concurrent decision reads the old catalogue or the new one, never a half.
            self._fitted = _Catalogue(cards, self._vote.fit(cards))

    def decide(
        self,
        messages: Sequence[Message],
        previous: str | None = None,
        residency: Mapping[str, Residency] = NOTHING_KNOWN,
    ) -> Decision:
        """Choose for the last user turn of ``messages`` (OpenAI chat messages).

        previous: the adapter that answered the previous turn. Without it, the earlier user turns are decided first, in
        order, so that a client that sends the whole conversation each time is treated alike. residency: of each
        adapter's weights (`near_tie.LOAD_COST`). Raises InvalidRequest for anything but a list of text messages.
        """
        turns = user_turns(messages)
        return self.decide_embedded(turns, self.embedder.embed(turns), previous, residency)

    def decide_embedded(
        self,
        turns: Sequence[str],
        rows: Vectors,
        previous: str | None = None,
        residency: Mapping[str, Residency] = NOTHING_KNOWN,
    ) -> Decision:
        """`decide` for a conversation's `user_turns` and their embeddings, ``(turns, dimension)``."""
        vote = self._fitted.vote
        if not turns:
            return Decision({}, {}, 1.0, "base model: there is no user text to route", previous)
        start = 0 if previous is None else len(turns) - 1
        for index in range(start, len(turns)):
            evidence = self._evidence(turns[index], rows[index], rows[max(0, index - RECENT_TURNS) : index], vote)
            decision = settle(evidence, previous, self.calibration, residency)
            previous = decision.adapter
        return decision

    def margins(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """By adapter, the ``(len(texts),)`` margins of ``texts`` without context, for calibration."""
        cut = [excerpt(text) for text in texts]
        vote = self._fitted.vote
        each = [vote.margins(text, row) for text, row in zip(cut, self.embedder.embed(cut), strict=True)]
        return {name: np.array([margins[name] for margins in each], np.float32) for name in vote.names}

    def continuity(self, text: str, earlier: Sequence[str]) -> float:
        """`policy.Evidence.continuity` of ``text`` after ``earlier`` texts."""
        rows = self.embedder.embed([excerpt(text), *(excerpt(t) for t in earlier)])
        return self._continuity(rows[0], rows[1:])

    def _evidence(self, text: str, row: Vectors, earlier: Vectors, vote: FittedVote) -> Evidence:
        margins = vote.margins(text, row)
        best = max(margins, key=lambda name: margins[name], default=None)
        reasons = {best: vote.reason(best, text, row)} if best is not None else {}
        return Evidence(margins, self._continuity(row, earlier), reasons)

    def _continuity(self, row: Vectors, earlier: Vectors) -> float:
        likeness = float((earlier @ row).max()) if len(earlier) else 0.0
        return float(self._continuation.margins(row[None])[0]) + LIKENESS_WEIGHT * likeness

    def _warn_where_uncalibrated(self, signals: Mapping[str, float]) -> None:
        chosen_with = self.calibration.embedder, dict(self.calibration.signals)
        if chosen_with != (self.embedder.source, dict(signals)):
            logger.warning(
                "the routing thresholds were chosen with embedder %r and signals %r, not %r and %r; calibrate again",
                *chosen_with,
                self.embedder.source,
                dict(signals),
            )
