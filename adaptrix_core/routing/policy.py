"""The routing rule, which turns margins into a decision, and the record of a decision.

Knows numbers and names. Does not know texts or embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.near_tie import cheapest, why
from adaptrix_core.routing.vote import SignalVote


@dataclass(frozen=True)
class Decision:
    """The router's choice: one adapter, or the base model."""

    mix_names: Mapping[str, float]
    """Weight by adapter name; empty is the base model."""
    scores: Mapping[str, float]
    """By adapter name, the probability (0 to 1) that a message like this one is in the adapter's scope."""
    confidence: float
    """Probability (0 to 1) that the choice is right: the adapter's score; for the base, 1 minus the best score."""
    reason: str
    """One line for people."""
    previous: str | None = None
    """The adapter that the previous turn was routed to."""
    votes: tuple[SignalVote, ...] = ()
    """What each signal said of the message, with its weight."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """By adapter name, the weighted sum of what they said."""

    @property
    def adapter(self) -> str | None:
        """The adapter that was chosen; None is the base model."""
        return next(iter(self.mix_names), None)

    @property
    def score(self) -> float:
        """The chosen adapter's score; where the base was chosen, the best score, which was too low."""
        chosen = [self.scores[name] for name in self.mix_names if name in self.scores]
        return max(chosen or self.scores.values(), default=0.0)


@dataclass(frozen=True)
class Evidence:
    """The numbers that the decision about one message is based on."""

    margins: Mapping[str, float]
    """By adapter: log-odds of its examples against the background."""
    continuity: float
    """Degree to which it continues the conversation: log-odds of being a follow-up, plus likeness to earlier turns."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By adapter, half a sentence on what speaks for it; empty where nothing is to be said."""


NOTHING_KNOWN: Mapping[str, Residency] = {}


def settle(
    evidence: Evidence,
    previous: str | None,
    calibration: Calibration,
    residency: Mapping[str, Residency] = NOTHING_KNOWN,
) -> Decision:
    """Choose one adapter or the base; the first of these rules that applies decides.

    1. Stay: the previous adapter answers if the message belongs to it and no other adapter takes over. The message
       belongs to it if its margin reaches ``accept``, or its margin plus continuity reaches ``stay``. Another adapter
       takes over if its margin reaches ``accept`` and leads by ``lead``. Residency does not count here, because the
       previous adapter has the conversation's cache.
    2. Best: the adapter with the best margin answers if that reaches ``accept``. Others are equally good if they reach
       it too (in a take-over, the lead as well) and are within ``tie`` of the best: of these the cheapest to load.
    3. Base: the base model answers.
    """
    scores = {name: calibration.probability(margin) for name, margin in evidence.margins.items()}
    if not evidence.margins:
        return Decision({}, scores, 1.0, "base model: no adapter describes what it is for", previous)
    margins = evidence.margins
    best = max(margins, key=lambda name: margins[name])
    if previous not in margins:
        previous = None
    accepted = margins[best] >= calibration.accept_of(best)
    wins_from = -math.inf
    if previous is not None:
        moved_to_other = accepted and margins[best] - margins[previous] >= calibration.lead
        alone = margins[previous] >= calibration.accept_of(previous)
        if not moved_to_other and (alone or margins[previous] + evidence.continuity >= calibration.stay):
            if alone:
                return _chosen(previous, scores, _scored(previous, scores, evidence, calibration), previous)
            return _chosen(
                previous, scores, f"stays with {previous}: the message goes on with the conversation", previous
            )
        if moved_to_other:
            wins_from = margins[previous] + calibration.lead
    if accepted:
        equals = [
            name
            for name in margins
            if margins[name] >= max(wins_from, margins[best] - calibration.tie, calibration.accept_of(name))
        ]
        chosen = cheapest(equals, margins, residency)
        reason = _scored(chosen, scores, evidence, calibration)
        if chosen != best:
            reason += f"; a near-tie with {best} ({scores[best]:.2f}): {why(chosen, best, residency)}"
        return _chosen(chosen, scores, reason, previous)
    moved = f"the topic moved away from {previous}; " if previous is not None else ""
    threshold = calibration.probability(calibration.accept_of(best))
    reason = f"base model: {moved}best score {scores[best]:.2f} ({best}) is under the threshold {threshold:.2f}"
    return Decision({}, scores, 1.0 - scores[best], reason, previous)


def _scored(name: str, scores: Mapping[str, float], evidence: Evidence, calibration: Calibration) -> str:
    said = evidence.reasons.get(name)
    near = f", {said}" if said else ""
    return (
        f"{name}: score {scores[name]:.2f}, threshold {calibration.probability(calibration.accept_of(name)):.2f}{near}"
    )


def _chosen(name: str, scores: Mapping[str, float], reason: str, previous: str | None) -> Decision:
    return Decision({name: 1.0}, scores, scores[name], reason, previous)
