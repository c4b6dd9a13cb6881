"""Settles at the cut what the router has left open: its opinions so far, and the base model's own, added up.

Every turn of the conversation is decided again in order, from the turns' means in this very prompt, so that follow-ups
stay with their adapter whichever replica computes them. Knows margins, probes and the routing rule; does not know
engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.message import RoutedMessage, Vectors
from adaptrix_core.routing.policy import Decision, Evidence, settle
from adaptrix_core.routing.vote import SignalVote

if TYPE_CHECKING:
    from adaptrix_core.routing.signals.trunk import FittedTrunk

TRUNK = "trunk"
"""The signal's name, by which a calibration has its weight."""


@dataclass(frozen=True)
class TurnSoFar:
    """What is known of one turn of the user before the trunk has read it."""

    margins: Mapping[str, float]
    """By adapter name, the weighted log-odds of the other signals; empty where there are none."""
    continuity: float
    """See `policy.Evidence`."""


@dataclass(frozen=True)
class OpenChoice:
    """A decision that is left to the cut."""

    turns: tuple[TurnSoFar, ...]
    """The user's latest turns, in order."""
    names: tuple[str, ...]
    """The adapters that are to choose from."""
    calibration: Calibration
    """The thresholds for all signals together, with the weight of the trunk."""
    residency: Mapping[str, Residency] = field(default_factory=dict)


def settled(choice: OpenChoice, trunk: FittedTrunk, means: Vectors | None) -> Decision | None:
    """The decision, with the trunk's vote. means: of each turn, ``(turns, hidden)``.

    None where the trunk cannot have its say: it has no means, or not of every turn, or of another base model, or no
    probe of some adapter yet. What was decided without it holds then.
    """
    if means is None or means.shape != (len(choice.turns), trunk.hidden) or not set(choice.names) <= set(trunk.names):
        return None
    weight, decision, previous = choice.calibration.signals.get(TRUNK, 0.0), None, None
    for turn, mean in zip(choice.turns, means, strict=True):
        message = RoutedMessage("", trunk_mean=mean)
        said = {name: odds for name, odds in trunk.log_odds(message).items() if name in choice.names}
        margins = {name: turn.margins.get(name, 0.0) + weight * odds for name, odds in said.items()}
        best = max(margins, key=lambda name: margins[name], default=None)
        reasons = {} if best is None else {best: trunk.reason(best, message)}
        decision = settle(Evidence(margins, turn.continuity, reasons), previous, choice.calibration, choice.residency)
        decision = replace(decision, votes=(SignalVote(TRUNK, weight, said, "; ".join(reasons.values())),))
        previous = decision.adapter
    return decision
