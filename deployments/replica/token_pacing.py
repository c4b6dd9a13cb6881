"""The time for which a replica gathers (coalesces) a stream's tokens into one message.

A message costs ingress and proxy about the same, whatever its length. So all streams of a replica share a budget of
messages per second, which keeps sending from taking the processor time of computing. They send at common ticks:
messages sent together cost less than as many apart, each of which would interrupt the computation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_S = 0.5
"""Longest time between two messages of a stream, in seconds: it still looks like a stream to its reader."""
SHORTEST_S = LONGEST_S / 16
"""Shortest time between two messages, in seconds: too short for a reader to notice."""
UNREAD_S = 1.0
"""Time between two messages of an answer that its client gets whole, in seconds. Tokens that were sent are not lost
with this replica."""
TIMER_S = 0.002
"""Tolerance for timers that fire early, in seconds, as event loops count whole milliseconds. A message sent this
shortly before a tick counts as sent at it, so the next one waits for the tick after."""


class TokenPacing:
    """The streams of one replica."""

    def __init__(self, messages_per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, steadily increasing."""
        self._messages_per_s = messages_per_s
        self._clock = clock
        self._num_streams = 0

    @contextmanager
    def stream(self, is_read: bool) -> Iterator[Callable[[], float]]:
        """One more stream while the context lasts; yields a function: seconds until its next message is due."""
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
        """Seconds between two messages of a stream: `LONGEST_S` halved some times, so that all intervals share ticks
        while streams come and go."""
        wanted, interval_s = max(SHORTEST_S, self._num_streams / self._messages_per_s), LONGEST_S
        while interval_s / 2 >= wanted:
            interval_s /= 2
        return interval_s

    def _until_tick_s(self, interval_s: float) -> float:
        left_s = interval_s - self._clock() % interval_s
        return left_s if left_s > TIMER_S else left_s + interval_s
