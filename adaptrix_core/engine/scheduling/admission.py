"""Admission control: the queue takes requests that fit, and whose turn comes soon enough to be of use.

A queue that takes everything makes every answer late once more is asked than can be computed (overload). Refusing
requests by their expected wait keeps the answers to all others in time. Engine thread only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.scheduling.backlog import Backlog, first_free
from adaptrix_core.engine.scheduling.waiting import WaitingRows
from adaptrix_core.errors import InvalidRequest, Overloaded


class Admission:
    """Accepts or refuses the rows of a new request."""

    def __init__(self, backlog: Backlog, max_queue: int, max_wait_s: float | None) -> None:
        """max_wait_s: expected wait in seconds above which a request is refused; None: only a full queue refuses."""
        self._backlog = backlog
        self._max_queue = max_queue
        self._max_wait_s = max_wait_s

    def check(self, rows: Sequence[Row], running: Sequence[Row], waiting: WaitingRows) -> None:
        """Raise Overloaded for rows to be tried again later, InvalidRequest for more than any queue could hold."""
        if len(rows) > self._max_queue:
            raise InvalidRequest(
                f"the request makes {len(rows)} rows (n choices of each fork) and the queue holds {self._max_queue}; "
                "ask for fewer, or raise engine.max_queue in the settings",
                param="n",
            )
        if len(waiting) + len(rows) > self._max_queue:
            raise Overloaded(
                f"{len(waiting)} rows wait and the queue holds {self._max_queue}; "
                f"{len(rows)} more do not fit: try again later, or raise engine.max_queue in the settings",
                retry_after_s=self._next_place_s(running),
            )
        wait_s = self._backlog.wait_s(rows[0], running, waiting)
        if wait_s:
            self._check_wait(rows[0], wait_s)

    def _check_wait(self, row: Row, wait_s: float) -> None:
        limit = self._max_wait_s
        if limit is not None and wait_s > limit:
            raise Overloaded(
                f"a place is expected to be free in {wait_s:.1f} s, and the server takes no request that would wait "
                f"more than {limit:g} s (engine.max_wait_s): try again later",
                retry_after_s=wait_s - limit,
                wait_s=wait_s,
            )
        rate = self._backlog.row_rate
        if row.deadline is None or rate is None:
            return
        left_s = row.deadline - time.perf_counter()
        needed_s = wait_s + self._backlog.tokens_left(row) / rate
        if needed_s > left_s:
            raise Overloaded(
                f"the answer is expected to take {needed_s:.1f} s, {wait_s:.1f} s of it waiting, and the deadline is "
                f"in {left_s:.1f} s: try again later, or allow more time",
                code="deadline_unreachable",
                retry_after_s=min(wait_s, needed_s - left_s),
            )

    def _next_place_s(self, running: Sequence[Row]) -> float | None:
        """Seconds until a place in the batch, and so in the queue, becomes free; None before a rate was measured."""
        rate = self._backlog.row_rate
        return None if rate is None else first_free([self._backlog.tokens_left(row) for row in running], 0.0) / rate
