"""What the trunk alone decides of a question, where it reads it so clearly that nobody else needs to be asked.

Clear is what no tenant's labels could change, as they move a threshold within bounds (`feedback/thresholds.py`), and
which leaves no second adapter to choose from. Knows probes and thresholds; does not know who else could be asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from adaptrix_core.routing.calibration import TRUNK_ALONE, Calibration
from adaptrix_core.routing.feedback.thresholds import LOWERED_MOST, RAISED_MOST
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.policy import Decision
from adaptrix_core.routing.trunk.settlement import OpenChoice, TurnSoFar, settled

if TYPE_CHECKING:
    from adaptrix_core.routing.signals.trunk import FittedTrunk

_ONLY_TURN = (TurnSoFar({}, 0.0),)


def clear_decision(
    names: Sequence[str], trunk: FittedTrunk, means: Vectors | None, threshold: float | None = None
) -> Decision | None:
    """Who among ``names`` answers a conversation's only turn; None where the trunk is silent or not clear about it.

    means: of the turn, ``(1, hidden)``. threshold: the setting ``router.threshold``.
    """
    calibration = TRUNK_ALONE if threshold is None else TRUNK_ALONE.with_threshold(threshold)
    decision = settled(OpenChoice(_ONLY_TURN, tuple(names), calibration), trunk, means)
    if decision is None or not decision.votes[0].log_odds or not _is_clear(decision, calibration):
        return None
    return replace(decision, reason=f"{decision.reason}; it is clear, so no other signal counts")


def _is_clear(decision: Decision, calibration: Calibration) -> bool:
    margins = decision.votes[0].log_odds
    in_reach = [margin for margin in margins.values() if margin >= calibration.accept - LOWERED_MOST]
    if decision.adapter is None:
        return not in_reach
    best = margins[decision.adapter]
    others = sorted(in_reach)[:-1]
    leads = not others or best - others[-1] >= calibration.lead
    return best >= calibration.accept + RAISED_MOST and leads
