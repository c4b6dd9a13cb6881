"""The waiting rows, and the order in which they join.

More urgent classes come first. Within a class a stream that has begun (its row was preempted) comes before those that
have not; then tenants share fairly, whatever adapters they use, and inside a tenant so do its sets of adapters
(`fair_share.py`). Rows of one flow, of one tenant and set of adapters, keep the order in which they arrived. Engine
thread only.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from itertools import count

from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.scheduling.fair_share import FairShare

Rank = tuple[int, bool, tuple[int, ...], int]
"""(priority, has not begun, tokens served to its tenant and flow, place in the order of arrival); smaller is first."""

_Flow = tuple[bytes, frozenset[str]]
"""Tenant, and its set of adapters."""


class WaitingRows:
    """The waiting rows, by class and flow."""

    def __init__(self) -> None:
        self._shares: defaultdict[int, FairShare] = defaultdict(FairShare)
        self._flows: dict[tuple[int, _Flow], list[Row]] = {}
        self._numbers = count(1)

    def __len__(self) -> int:
        return sum(map(len, self._flows.values()))

    def __iter__(self) -> Iterator[Row]:
        for rows in self._flows.values():
            yield from rows

    def __contains__(self, row: Row) -> bool:
        return row in self._flows.get(_key(row), ())

    @property
    def top_priority(self) -> int | None:
        """Priority of the most urgent row; None when no row waits."""
        return min((priority for priority, _ in self._flows), default=None)

    def add(self, row: Row) -> None:
        """Queue a row, in the order of arrival, but a stream that has begun before those that have not."""
        if row.number == 0:
            row.number = next(self._numbers)
        insort(self._flows.setdefault(_key(row), []), row, key=_place)
        self._shares[row.priority].begin_wait(row.flow)

    def remove(self, row: Row) -> None:
        """Take a row out of the queue."""
        rows = self._flows[_key(row)]
        rows.remove(row)
        if not rows:
            del self._flows[_key(row)]
        self._shares[row.priority].end_wait(row.flow)

    def heads(self) -> list[Row]:
        """The next ready row of every flow that has one."""
        heads = (next((row for row in rows if row.is_ready), None) for rows in self._flows.values())
        return [row for row in heads if row is not None]

    def rank(self, row: Row) -> Rank:
        """The order in which prompts are computed, those of waiting and of running rows alike: smaller is first."""
        return (row.priority, row.num_output == 0, self._shares[row.priority].served(row.flow), row.number)

    def charge(self, row: Row, tokens: int) -> None:
        """Count ``tokens`` that are computed for a row against its flow's share."""
        self._shares[row.priority].charge(row.flow, tokens)


def _key(row: Row) -> tuple[int, _Flow]:
    return row.priority, row.flow


def _place(row: Row) -> tuple[bool, int]:
    return row.num_output == 0, row.number
