"""Thresholds that follow feedback: each owner's labels move the thresholds of its own decisions, and nobody else's.

Knows the router, the labels and the rule. Costs a decision one look-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.feedback.label_book import OWNERS_KEPT, LabelBook
from adaptrix_core.routing.feedback.labels import LabelTaken, RouteLabel
from adaptrix_core.routing.feedback.thresholds import OutOfScope, adjusted
from adaptrix_core.routing.policy import Decision
from adaptrix_core.routing.semantic import NO_OTHERS, SemanticRouter
from adaptrix_core.suggestions import did_you_mean


class AdaptiveThresholds:
    """The thresholds of one router by owner. Any number of threads may ask and label at once."""

    def __init__(self, router: SemanticRouter, state_dir: Path, book: LabelBook[RouteLabel] | None = None) -> None:
        """state_dir: where labels are kept. book: those that are kept there, where they were read before."""
        self._router = router
        self._state_dir = state_dir
        self._book = book or LabelBook(state_dir / "routing" / "labels", RouteLabel.of_row)
        self._outside: tuple[tuple[RouteCard, ...], OutOfScope] | None = None
        self._known: dict[bytes, tuple[tuple[RouteCard, ...], Mapping[str, float]]] = {}

    def of_router(self, router: SemanticRouter) -> AdaptiveThresholds:
        """The thresholds of another router by the same labels, for owners whose decisions it makes."""
        return AdaptiveThresholds(router, self._state_dir, self._book)

    def known(self, owner: bytes) -> Mapping[str, float] | None:
        """As `of`, at once; None where it has to be computed, as the catalogue is another one than last time."""
        if not self._book.of(owner):
            return NO_OTHERS
        cards, thresholds = self._known.get(owner, (None, NO_OTHERS))
        return thresholds if cards is self._router.catalogue else None

    def of(self, owner: bytes) -> Mapping[str, float]:
        """By adapter, the margin from which it answers this owner, where that is not the calibrated one."""
        known = self.known(owner)
        return self._chosen(owner) if known is None else known

    def label(self, owner: bytes, decision: Decision, right: str | None) -> LabelTaken:
        """Note who should have answered in place of what was decided. right: None is the base model.

        Raises InvalidRequest for an adapter that the router doesn't know, and OSError where it cannot be kept.
        """
        names = [card.name for card in self._router.catalogue]
        if right is not None and right not in names:
            near = did_you_mean(right[:64], names)
            raise InvalidRequest(
                f"right is {right[:64]!r}, which is no adapter that the router knows; {near} Give an "
                "adapter's name, or base",
                param="right",
            )
        margins = decision.margins
        best = max(margins, key=lambda name: margins[name], default=None)
        calibration = self._router.calibration
        if best is not None and self._is_ours(decision):
            self._book.add(owner, RouteLabel(right, best, margins[best], self._bases().get(best, "")))
            self._chosen(owner)
        thresholds = {name: calibration.probability(margin) for name, margin in self.of(owner).items()}
        labels = len(self._book.of(owner))
        return LabelTaken(decision.adapter, labels, calibration.probability(calibration.accept), thresholds)

    def _is_ours(self, decision: Decision) -> bool:
        """Whether the calibrated signals made it; where the embedder had failed, others did."""
        return {vote.signal for vote in decision.votes} == set(self._router.signals)

    def _chosen(self, owner: bytes) -> Mapping[str, float]:
        """Computed anew, and remembered."""
        cards, bases = self._router.catalogue, self._bases()
        valid = [label for label in self._book.of(owner) if bases.get(label.best) == label.basis]
        chosen = adjusted(valid, self._router.calibration.accept, self._out_of_scope()) if valid else NO_OTHERS
        if len(self._known) > OWNERS_KEPT:
            self._known.clear()
        self._known[owner] = (cards, chosen)
        return chosen

    def _bases(self) -> Mapping[str, str]:
        """By adapter, what its margins depend on."""
        calibration = self._router.calibration
        shared = repr((calibration.accept, calibration.embedder, sorted(self._router.signals.items())))
        return {card.name: _digest((shared, card.texts, card.keywords)) for card in self._router.catalogue}

    def _out_of_scope(self) -> OutOfScope:
        cards = self._router.catalogue
        if self._outside is None or self._outside[0] is not cards:
            self._outside = cards, OutOfScope.of(self._router.margins(prompts.out_of_scope("calibration")))
        return self._outside[1]


def _digest(value: object) -> str:
    return sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()[:16]
