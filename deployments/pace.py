"""How long a replica gathers a stream's tokens before it sends them on.

A message costs ingress and proxy about the same whatever is in it. So all streams of a replica share a number of
messages per second, and sending does not take from computing what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHORTEST_S, LONGEST_S = 0.02, 0.5
"""Nobody sees the one; the other still looks like a stream to its reader."""
UNREAD_S = 1.0
"""For answers that nobody reads before they are whole: what was sent is not lost with this replica."""


class Pace:
    """The streams of one replica."""

    def __init__(self, messages_per_s: float) -> None:
        self._messages_per_s = messages_per_s
        self._num_streams = 0

    @contextmanager
    def stream(self, is_read: bool) -> Iterator[Callable[[], float]]:
        """One more stream, for the time of the context: what tells the seconds between two of its messages."""
        if not is_read:
            yield lambda: UNREAD_S
            return
        self._num_streams += 1
        try:
            yield self._interval_s
        finally:
            self._num_streams -= 1

    def _interval_s(self) -> float:
        return min(LONGEST_S, max(SHORTEST_S, self._num_streams / self._messages_per_s))
