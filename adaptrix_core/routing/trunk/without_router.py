"""The choice that is left open where the router cannot be asked: the base model's own reading alone decides.

Continuity is judged by characters, and no tenant's labels are known. Knows texts and names.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from adaptrix_core.routing.calibration import TRUNK_ALONE
from adaptrix_core.routing.continuity import Continuity, continuity_by_characters
from adaptrix_core.routing.trunk.settlement import OpenChoice, TurnSoFar


def choice_without_router(turns: Sequence[str], names: Sequence[str], threshold: float | None) -> OpenChoice:
    """The choice among ``names`` for a conversation's turns. threshold: the setting ``router.threshold``.

    The first call takes a moment, as it fits the regression by which follow-ups are told.
    """
    calibration = TRUNK_ALONE if threshold is None else TRUNK_ALONE.with_threshold(threshold)
    continuity = _continuity()
    rows = continuity.embed(turns)
    return OpenChoice(
        tuple(TurnSoFar({}, continuity.of(rows, index)) for index in range(len(turns))), tuple(names), calibration
    )


@cache
def _continuity() -> Continuity:
    return continuity_by_characters()
