"""Which row is it that breaks a step? Rows under suspicion are computed apart from the others until that is known.

A step that raises says nothing of the row at fault, and ending all of its rows would hurt those that merely shared it.
So its rows come under suspicion in two halves, and the next steps compute one half at a time: one that raises again is
halved again, a single row that raises is at fault, and a half that gets on is cleared. The same holds for rows that
were in a step which never ended, on a replica that is gone: each request of these is a group of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

STEPS_TO_CLEAR = 2
"""Steps that must choose a token for a row before nothing is held against it any more: the one that broke, and the one
after it, whose token nobody has seen either."""


@dataclass
class Suspicion:
    """What is held against one row."""

    group: int
    """Rows of one group are computed together, and with no others."""
    passed: int = 0
    """Steps that chose a token for the row since."""


class Suspect(Protocol):
    """A row, as far as it matters here."""

    suspicion: Suspicion | None


class Part(Protocol):
    """What a step computes of one row."""

    @property
    def row(self) -> Suspect:
        """The row."""

    @property
    def reaches_end(self) -> bool:
        """Whether a token is chosen after it."""


SomePart = TypeVar("SomePart", bound=Part)


class Quarantine:
    """Decides which parts of a planned step are computed in it."""

    def __init__(self) -> None:
        self._num_groups = 0
        self._is_others_turn = False

    def add(self, rows: Sequence[Suspect]) -> None:
        """Put rows under suspicion, as one group."""
        self._num_groups += 1
        for row in rows:
            row.suspicion = Suspicion(self._num_groups)

    def halve(self, rows: Sequence[Suspect]) -> None:
        """Put the rows of a step that raised, at least two, under suspicion as two groups."""
        middle = len(rows) // 2
        self.add(rows[:middle])
        self.add(rows[middle:])

    def apart(self, parts: Sequence[SomePart]) -> Sequence[SomePart]:
        """What of these may be computed together now. Suspects and others take turns, so that neither starves."""
        groups = [part.row.suspicion.group for part in parts if part.row.suspicion is not None]
        if not groups:
            return parts
        others = [part for part in parts if part.row.suspicion is None]
        self._is_others_turn = bool(others) and not self._is_others_turn
        if self._is_others_turn:
            return others
        first = min(groups)
        return [part for part in parts if part.row.suspicion is not None and part.row.suspicion.group == first]

    def passed(self, parts: Sequence[Part]) -> None:
        """Take note of a step that ended as it should."""
        for part in parts:
            held = part.row.suspicion
            if held is not None and part.reaches_end:
                held.passed += 1
                if held.passed >= STEPS_TO_CLEAR:
                    part.row.suspicion = None
