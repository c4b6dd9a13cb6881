"""The rule that turns margins into a decision, and what a decision is.

Knows numbers and names. Does not know texts or embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.near_tie import cheapest, why


@dataclass(frozen=True)
class Decision:
    """What the router has chosen."""

    mix_names: Mapping[str, float]
    """Weight by adapter name; empty is the base model."""
    scores: Mapping[str, float]
    """By adapter name: how probable it is, in 0..1, that a message like this one is in the adapter's scope."""
    confidence: float
    """How probable it is, in 0..1, that the choice is right: the score, or for the base what the best score leaves."""
    reason: str
    """One line for people."""
    previous: str | None = None
    """The adapter that the turn before was routed to."""

    @property
    def adapter(self) -> str | None:
        """The adapter that was chosen; None is the base model."""
        return next(iter(self.mix_names), None)

    @property
    def score(self) -> float:
        """The chosen adapter's score; where the base was chosen, the best score, which was not enough."""
        chosen = [self.scores[name] for name in self.mix_names if name in self.scores]
        return max(chosen or self.scores.values(), default=0.0)


@dataclass(frozen=True)
class Evidence:
    """What the embeddings say about one message."""

    margins: Mapping[str, float]
    """By adapter: log-odds of its examples against the background."""
    continuity: float
    """How much it goes on with the conversation: log-odds of being a follow-up, plus likeness to what was said."""
    nearest: Mapping[str, str] = field(default_factory=dict)
    """By adapter: its example that is nearest to the message, in words."""


NOTHING_KNOWN: Mapping[str, str] = {}


def settle(
    evidence: Evidence, previous: str | None, calibration: Calibration, residency: Mapping[str, str] = NOTHING_KNOWN
) -> Decision:
    """Choose one adapter or the base; the first of these rules that applies decides.

    1. A previous adapter stays unless the topic moved, which is when another adapter is accepted with a clear ``lead``,
       or when neither the message alone (``accept``) nor as a follow-up (``stay``: margin plus continuity) belongs to
       it. What is loaded does not matter here: the conversation's cache does.
    2. The best margin wins where it reaches ``accept``. Others that could have won as well, and whose margin is within
       ``tie`` of the best, are equally good: of all these the one answers that is cheapest to load (``residency``).
    3. The base answers.
    """
    scores = {name: calibration.probability(margin) for name, margin in evidence.margins.items()}
    if not evidence.margins:
        return Decision({}, scores, 1.0, "base model: no adapter describes what it is for", previous)
    margins = evidence.margins
    best = max(margins, key=lambda name: margins[name])
    if previous not in margins:
        previous = None
    accepted = margins[best] >= calibration.accept
    wins_from = calibration.accept
    if previous is not None:
        moved_to_other = accepted and margins[best] - margins[previous] >= calibration.lead
        alone = margins[previous] >= calibration.accept
        if not moved_to_other and (alone or margins[previous] + evidence.continuity >= calibration.stay):
            if alone:
                return _chosen(previous, scores, _scored(previous, scores, evidence, calibration), previous)
            return _chosen(
                previous, scores, f"stays with {previous}: the message goes on with the conversation", previous
            )
        if moved_to_other:
            wins_from = max(wins_from, margins[previous] + calibration.lead)
    if accepted:
        equals = [name for name in margins if margins[name] >= max(wins_from, margins[best] - calibration.tie)]
        chosen = cheapest(equals, margins, residency)
        reason = _scored(chosen, scores, evidence, calibration)
        if chosen != best:
            reason += f"; a near-tie with {best} ({scores[best]:.2f}): {why(chosen, best, residency)}"
        return _chosen(chosen, scores, reason, previous)
    moved = f"the topic moved away from {previous}; " if previous is not None else ""
    threshold = calibration.probability(calibration.accept)
    reason = f"base model: {moved}best score {scores[best]:.2f} ({best}) is under the threshold {threshold:.2f}"
    return Decision({}, scores, 1.0 - scores[best], reason, previous)


def _scored(name: str, scores: Mapping[str, float], evidence: Evidence, calibration: Calibration) -> str:
    near = f", nearest to its example {evidence.nearest[name]!r}" if name in evidence.nearest else ""
    return f"{name}: score {scores[name]:.2f}, threshold {calibration.probability(calibration.accept):.2f}{near}"


def _chosen(name: str, scores: Mapping[str, float], reason: str, previous: str | None) -> Decision:
    return Decision({name: 1.0}, scores, scores[name], reason, previous)
