"""How long a replica gathers a stream's tokens before it sends them on.

A message costs ingress and proxy about the same whatever is in it. So all streams of a replica share a number of
messages per second, and sending does not take from computing what it needs. They are sent at common ticks: many at a
time cost less than as many one by one, each of which would interrupt what computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_S = 0.5
"""Still looks like a stream to its reader."""
SHORTEST_S = LONGEST_S / 16
"""Nobody sees it."""
UNREAD_S = 1.0
"""For answers that nobody reads before they are whole: what was sent is not lost with this replica."""
TIMER_S = 0.002
"""How much too early a timer may go off: event loops count whole milliseconds. What is sent right before a tick is sent
at the next one, not at this one again."""


class TokenPacing:
    """The streams of one replica."""

    def __init__(self, messages_per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, steadily increasing."""
        self._messages_per_s = messages_per_s
        self._clock = clock
        self._num_streams = 0

    @contextmanager
    def stream(self, is_read: bool) -> Iterator[Callable[[], float]]:
        """One more stream, for the time of the context: what tells the seconds until its next message may go."""
        if not is_read:
            yield lambda: self._until_tick_s(UNREAD_S)
            return
        self._num_streams += 1
        try:
            yield lambda: self._until_tick_s(self._interval_s)
        finally:
            self._num_streams -= 1

    @property
    def _interval_s(self) -> float:
        """Between two messages of a stream: the longest halved some times, so that ticks stay common ones while
        streams come and go."""
        wanted, interval_s = max(SHORTEST_S, self._num_streams / self._messages_per_s), LONGEST_S
        while interval_s / 2 >= wanted:
            interval_s /= 2
        return interval_s

    def _until_tick_s(self, interval_s: float) -> float:
        left_s = interval_s - self._clock() % interval_s
        return left_s if left_s > TIMER_S else left_s + interval_s
