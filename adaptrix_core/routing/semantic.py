"""The semantic router: decides by what its signals say of a message and each adapter's card.

Knows the catalogue of adapter cards, which may change while requests run. Does not know adapters' weights.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing.calibration import KEYWORDS_ALONE, Calibration
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.continuity import Continuity, continuity_by_characters
from adaptrix_core.routing.conversation import Message, excerpt, user_turns
from adaptrix_core.routing.message import RoutedMessage, Vectors
from adaptrix_core.routing.policy import NOTHING_KNOWN, Decision, Evidence, settle
from adaptrix_core.routing.trunk.settlement import OpenChoice, TurnSoFar
from adaptrix_core.routing.vote import FittedVote, Vote
from adaptrix_core.routing.words.clauses import clauses

if TYPE_CHECKING:
    from adaptrix_core.routing.embedder import TextEmbedder
    from adaptrix_core.routing.signals.trunk import TrunkReader

__all__ = ["RouteCard", "SemanticRouter"]

NO_OTHERS: Mapping[str, float] = {}
"""Every adapter has the calibrated threshold."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Way:
    """A way to decide: the signals, the thresholds that go with them, and what continuity is judged by."""

    vote: Vote
    calibration: Calibration
    continuity: Continuity


@dataclass(frozen=True)
class _Catalogue:
    """The cards at one moment, and the votes over them."""

    cards: tuple[RouteCard, ...]
    vote: FittedVote
    without_embedding: FittedVote | None
    """Of messages whose embedding is not known; None where every message is without."""


class SemanticRouter:
    """Decides by meaning. Decisions may run in any number of threads while the catalogue changes."""

    def __init__(
        self,
        embedder: TextEmbedder | None,
        catalogue: Iterable[RouteCard] = (),
        calibration: Calibration | None = None,
        signals: Mapping[str, float] | None = None,
        trunk: TrunkReader | None = None,
    ) -> None:
        """embedder: None for a router that decides by the signals which need none, by keywords alone if those are none.

        calibration: None for the built-in one. signals: weights by name, of `extensions.ROUTER_SIGNALS`; None for those
        of the calibration. trunk: reads texts through the base model's trunk, for the signal of that name; None leaves
        that to those who decide with `trunk_means`. Raises ExtensionError where one cannot be used.
        """
        self.embedder = embedder
        self._trunk = trunk
        given = calibration or Calibration()
        vote = Vote(given.signals if signals is None else signals, embedder, trunk)
        self._change = threading.Lock()
        if embedder is None and not vote.weights:
            self._way = self._by_keywords
        else:
            continuity = continuity_by_characters() if embedder is None else Continuity(embedder.embed)
            self._way = _Way(vote, given, continuity)
            self._warn_where_uncalibrated()
        self._fitted = _Catalogue((), self._way.vote.fit(()), None)
        self.update(catalogue)

    @property
    def calibration(self) -> Calibration:
        """The thresholds that decisions are made with."""
        return self._way.calibration

    @property
    def signals(self) -> Mapping[str, float]:
        """The weights of the signals, by name."""
        return self._way.vote.weights

    @property
    def catalogue(self) -> tuple[RouteCard, ...]:
        """The cards that decisions are made with now."""
        return self._fitted.cards

    def update(self, catalogue: Iterable[RouteCard]) -> None:
        """Replace the catalogue; only new and changed cards are embedded, and equal cards cost nothing.

        Raises InvalidRequest for a name given twice.
        """
        cards = tuple(catalogue)
        names = [card.name for card in cards]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InvalidRequest(f"two route cards are named {twice[0]!r}; names in a catalogue are unique")
        with self._change:
            if cards == self._fitted.cards:
                return
            plain = None if self.embedder is None else self._by_keywords.vote.fit(cards)
            # One assignment: a concurrent decision reads the old catalogue or the new one, never a half.
            self._fitted = _Catalogue(cards, self._way.vote.fit(cards), plain)

    def decide(
        self,
        messages: Sequence[Message],
        previous: str | None = None,
        residency: Mapping[str, Residency] = NOTHING_KNOWN,
        accepts: Mapping[str, float] = NO_OTHERS,
    ) -> Decision:
        """Choose for the last user turn of ``messages`` (OpenAI chat messages).

        previous: the adapter that answered the previous turn. Without it, the earlier user turns are decided first, in
        order, so that a client that sends the whole conversation each time is treated alike. residency: of each
        adapter's weights (`near_tie.LOAD_COST`). Raises InvalidRequest for anything but a list of text messages.
        """
        turns = user_turns(messages)
        means = None if self._trunk is None or not turns else self._trunk(turns)
        return self.decide_embedded(turns, self._embedded(turns), previous, residency, means, accepts)

    def decide_embedded(
        self,
        turns: Sequence[str],
        rows: Vectors | None,
        previous: str | None = None,
        residency: Mapping[str, Residency] = NOTHING_KNOWN,
        trunk_means: Vectors | None = None,
        accepts: Mapping[str, float] = NO_OTHERS,
    ) -> Decision:
        """`decide` for a conversation's `user_turns` and their embeddings, ``(turns, dimension)``.

        rows: None where the embedder could not be asked; keywords decide then. trunk_means: of each turn
        (`RoutedMessage.trunk_mean`). accepts: thresholds by adapter that go before the calibrated one.
        """
        if not turns:
            return Decision({}, {}, 1.0, "base model: there is no user text to route", previous)
        fitted = self._fitted
        if rows is None and fitted.without_embedding is not None:
            way, vote = self._by_keywords, fitted.without_embedding
        else:
            way, vote = self._way, fitted.vote
        calibration = way.calibration
        if accepts and way is self._way:
            calibration = calibration.model_copy(update={"accepts": accepts})
        near = way.continuity.embed(turns) if rows is None else rows
        last = len(turns) - 1
        for index in range(0 if previous is None else last, len(turns)):
            message = RoutedMessage(
                turns[index],
                None if rows is None else rows[index],
                None if trunk_means is None else trunk_means[index],
            )
            decision = _decided(message, way.continuity.of(near, index), vote, previous, calibration, residency)
            previous = decision.adapter
        return decision

    def touched(self, text: str) -> tuple[str, ...]:
        """The adapters that the parts of a compound question are for, each by itself, in order; the base left out.

        Neighbours for one adapter count once: "Add 3 and 4. Then write a function for it." touches two.
        """
        decided = [self.decide([{"role": "user", "content": part}]).adapter for part in clauses(excerpt(text))]
        named = [adapter for adapter in decided if adapter is not None]
        return tuple(name for place, name in enumerate(named) if place == 0 or named[place - 1] != name)

    def left_open(
        self,
        turns: Sequence[str],
        rows: Vectors | None,
        calibration: Calibration,
        residency: Mapping[str, Residency] = NOTHING_KNOWN,
    ) -> OpenChoice:
        """The same conversation's decision for those to settle who have its means in the trunk.

        rows: the turns' embeddings; without them the trunk decides alone. calibration: for these signals and the trunk
        together.
        """
        fitted = self._fitted
        way = self._way if rows is not None else self._by_keywords
        near = way.continuity.embed(turns) if rows is None else rows
        so_far = []
        for index, text in enumerate(turns):
            margins = {} if rows is None else fitted.vote.margins(RoutedMessage(text, rows[index]))
            so_far.append(TurnSoFar(margins, way.continuity.of(near, index)))
        return OpenChoice(tuple(so_far), fitted.vote.names, calibration, dict(residency))

    def margins(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """By adapter, the ``(len(texts),)`` margins of ``texts`` without context, for calibration."""
        vote = self._fitted.vote
        each = [vote.margins(message) for message in self.messages(texts)]
        return {name: np.array([margins.get(name, 0.0) for margins in each], np.float32) for name in vote.names}

    def messages(self, texts: Sequence[str]) -> list[RoutedMessage]:
        """``texts`` as the signals see them, each without context."""
        cut = [excerpt(text) for text in texts]
        rows = self._embedded(cut)
        means = None if self._trunk is None else self._trunk(cut)
        return [
            RoutedMessage(text, None if rows is None else rows[index], None if means is None else means[index])
            for index, text in enumerate(cut)
        ]

    def continuity(self, text: str, earlier: Sequence[str]) -> float:
        """`policy.Evidence.continuity` of ``text`` after ``earlier`` texts."""
        turns = [excerpt(turn) for turn in (*earlier, text)]
        return self._way.continuity.of(self._way.continuity.embed(turns), len(earlier))

    def _embedded(self, texts: Sequence[str]) -> Vectors | None:
        """None without an embedder, and where it fails: the message is then judged by what needs none."""
        if self.embedder is None:
            return None
        try:
            return self.embedder.embed(texts)
        except (RuntimeError, OSError, MemoryError) as error:
            logger.warning("the embedder has failed, so keywords decide: %s: %s", type(error).__name__, error)
            return None

    @cached_property
    def _by_keywords(self) -> _Way:
        return _Way(Vote(KEYWORDS_ALONE.signals, None), KEYWORDS_ALONE, continuity_by_characters())

    def _warn_where_uncalibrated(self) -> None:
        chosen_with = self.calibration.embedder, dict(self.calibration.signals)
        used = None if self.embedder is None else self.embedder.source, dict(self.signals)
        if chosen_with != used:
            logger.warning(
                "the routing thresholds were chosen with embedder %r and signals %r, not %r and %r; calibrate again",
                *chosen_with,
                *used,
            )


def _decided(
    message: RoutedMessage,
    continuity: float,
    vote: FittedVote,
    previous: str | None,
    calibration: Calibration,
    residency: Mapping[str, Residency],
) -> Decision:
    """One turn's decision."""
    votes = vote.cast(message)
    margins = vote.added_up(votes)
    best = max(margins, key=lambda name: margins[name], default=None)
    if best is None:
        why = "no signal could judge the message" if vote.names else "no adapter describes what it is for"
        return Decision({}, {}, 1.0, f"base model: {why}", previous, votes)
    votes = vote.explained(votes, best, message)
    reasons = {best: "; ".join(said.reason for said in votes if said.reason)}
    decision = settle(Evidence(margins, continuity, reasons), previous, calibration, residency)
    return replace(decision, votes=votes, margins=margins)
