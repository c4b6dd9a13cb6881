"""Rows with a deadline, the nearest first. Engine thread only."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable

from adaptrix_core.engine.rows.row import Row

KEPT = 64
"""Entries of the heap up to which it is not searched for rows that have ended."""


class Deadlines:
    """The rows whose deadline has passed. Costs nothing where no row has one."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Row]] = []
        self._room = KEPT

    def add(self, rows: Iterable[Row]) -> None:
        """Watch the rows that have a deadline. All have been queued, so each has a number."""
        for row in rows:
            if row.deadline is not None:
                heapq.heappush(self._heap, (row.deadline, row.number, row))
        if len(self._heap) > self._room:
            self._heap = [entry for entry in self._heap if entry[2].finish_reason is None]
            heapq.heapify(self._heap)
            self._room = KEPT + 2 * len(self._heap)

    def passed(self) -> list[Row]:
        """Unfinished rows whose deadline has passed; each is returned once."""
        now = time.perf_counter()
        late = []
        while self._heap and (self._heap[0][0] <= now or self._heap[0][2].finish_reason is not None):
            row = heapq.heappop(self._heap)[2]
            if row.finish_reason is None:
                late.append(row)
        return late
