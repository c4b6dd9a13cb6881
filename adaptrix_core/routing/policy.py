"""The rule that turns margins into a decision, and what a decision is.

Knows numbers and names. Does not know texts or embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from adaptrix_core.routing.calibration import Calibration


@dataclass(frozen=True)
class Resolved:
    """The router has chosen."""

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
class Deferred:
    """The router leaves the choice among ``candidates`` to the engine, which settles it at the cut."""

    candidates: tuple[str, ...]
    policy: str
    scores: Mapping[str, float]
    confidence: float
    reason: str
    previous: str | None = None


Decision = Resolved | Deferred


@dataclass(frozen=True)
class Evidence:
    """What the embeddings say about one message."""

    margins: Mapping[str, float]
    """By adapter: log-odds of its examples against the background."""
    continuity: float
    """How much it goes on with the conversation: log-odds of being a follow-up, plus likeness to what was said."""
    nearest: Mapping[str, str] = field(default_factory=dict)
    """By adapter: its example that is nearest to the message, in words."""


def settle(evidence: Evidence, previous: str | None, calibration: Calibration) -> Resolved:
    """Choose one adapter or the base.

    Without a previous adapter: the best margin wins where it reaches ``accept``, else the base answers. A previous
    adapter stays unless the topic moved, which is when another adapter is accepted with a clear ``lead``, or when
    neither the message alone (``accept``) nor as a follow-up (``stay``: margin plus continuity) belongs to it.
    """
    scores = {name: calibration.probability(margin) for name, margin in evidence.margins.items()}
    if not evidence.margins:
        return Resolved({}, scores, 1.0, "base model: no adapter describes what it is for", previous)
    margins = evidence.margins
    best = max(margins, key=lambda name: margins[name])
    if previous not in margins:
        previous = None
    accepted = margins[best] >= calibration.accept
    if previous is not None:
        moved_to_other = accepted and margins[best] - margins[previous] >= calibration.lead
        alone = margins[previous] >= calibration.accept
        if not moved_to_other and not alone and margins[previous] + evidence.continuity >= calibration.stay:
            return _chosen(
                previous, scores, f"stays with {previous}: the message goes on with the conversation", previous
            )
        if not moved_to_other and alone:
            best = previous
    threshold = calibration.probability(calibration.accept)
    if accepted:
        near = f", nearest to its example {evidence.nearest[best]!r}" if best in evidence.nearest else ""
        return _chosen(best, scores, f"{best}: score {scores[best]:.2f}, threshold {threshold:.2f}{near}", previous)
    moved = f"the topic moved away from {previous}; " if previous is not None else ""
    reason = f"base model: {moved}best score {scores[best]:.2f} ({best}) is under the threshold {threshold:.2f}"
    return Resolved({}, scores, 1.0 - scores[best], reason, previous)


def _chosen(name: str, scores: Mapping[str, float], reason: str, previous: str | None) -> Resolved:
    return Resolved({name: 1.0}, scores, scores[name], reason, previous)
