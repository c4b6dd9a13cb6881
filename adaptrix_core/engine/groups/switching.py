"""The changes of mix that a row makes by itself, between two tokens, where conditions on its answer hold.

They are a function of the row's tokens and their log-probabilities (`composition/conditions.py`), so a row that another
engine continues makes the same ones. Does not know schedules; who changes the row's is told the number of the change.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.composition.conditions import AnswerSoFar
from adaptrix_core.composition.parts import Switch
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.mix import Mix


class Switching:
    """The changes of one row, each of which takes hold once."""

    def __init__(self, switches: Sequence[Switch[WeightsDigest]]) -> None:
        self._switches = tuple(switches)
        self._left = dict(enumerate(self._switches))
        self._answer = AnswerSoFar()

    def after_token(self, text: str, logprob: float | None) -> int | None:
        """Number of the change that takes hold after the answer's newest token; None for none.

        text: the whole answer's. logprob: of that token, natural; None where no condition needs it.
        """
        self._answer.add(text, logprob)
        number = next((number for number, one in self._left.items() if self._answer.holds(one.when)), None)
        if number is not None:
            del self._left[number]
            self._answer.changed()
        return number

    def mix(self, number: int) -> Mix:
        """The mix after a change."""
        return self._switches[number].mix
