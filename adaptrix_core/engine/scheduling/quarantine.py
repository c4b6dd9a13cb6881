"""Finds the row that breaks a step: rows under suspicion are computed apart from the others until it is known.

A step that raises says nothing of the row at fault, and ending all of its rows would hurt those that merely shared it.
So its rows come under suspicion in two halves, and the next steps compute one half at a time: one that raises again is
halved again (bisection), a single row that raises is at fault, and a half that does not raise is cleared. Rows that
were in a step which never ended, on a replica that is gone, are treated alike: each of their requests is a group of its
own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

STEPS_TO_CLEAR = 2
"""Steps that must choose a token for a row before it is cleared: the one that broke, done again, and the one after it,
whose token no reader has seen either."""


@dataclass
class Suspicion:
    """A row's state while it may be at fault."""

    group: int
    """Rows of one group are computed together, and with no others."""
    passed: int = 0
    """Steps that have chosen a token for the row since it came under suspicion."""


class Suspect(Protocol):
    """A row, with the one field that matters here."""

    suspicion: Suspicion | None


class Part(Protocol):
    """The chunk of one row in a planned step."""

    @property
    def row(self) -> Suspect:
        """The row."""

    @property
    def reaches_end(self) -> bool:
        """Whether a token is chosen after this chunk."""


SomePart = TypeVar("SomePart", bound=Part)


class Quarantine:
    """Decides which chunks of a planned step are computed in it."""

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
        """Those of ``parts`` that may be computed together now. Suspects and others take turns, so neither starves."""
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
        """Note a step that did not raise."""
        for part in parts:
            held = part.row.suspicion
            if held is not None and part.reaches_end:
                held.passed += 1
                if held.passed >= STEPS_TO_CLEAR:
                    part.row.suspicion = None
