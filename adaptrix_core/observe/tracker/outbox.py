"""What waits to be sent to the tracker, in the process that serves requests: bounded, and never waited for.

Putting a request here is an append. Where nobody takes it away in time (the tracker restarts, its disk is full), the
newest are dropped and counted: requests are answered as ever, and the figures say that some are missing.
"""

from __future__ import annotations

import secrets
from collections import deque

from adaptrix_core.observe.tracker.book import TrackedBatch
from adaptrix_core.observe.tracker.tracked import TrackedRequest

MOST_WAITING = 20_000
"""Requests that wait at most, some 10 MB: minutes of a busy server's."""
MOST_SENT = 500
"""Requests of one batch."""


class Outbox:
    """Of one process. One batch is on its way at a time, and is the same until it is taken. For one thread."""

    def __init__(self, most_waiting: int = MOST_WAITING, most_sent: int = MOST_SENT) -> None:
        """most_waiting, most_sent: requests."""
        self._most_waiting = most_waiting
        self._most_sent = most_sent
        self._sender = secrets.token_hex(16)
        self._waiting: deque[TrackedRequest] = deque()
        self._batch: TrackedBatch | None = None
        self._number = 0
        self._dropped_since = 0
        self.dropped = 0
        """Requests that there was no room for, since the process began."""

    def put(self, request: TrackedRequest) -> bool:
        """Leave a request here; False where too many wait, so that it is dropped and counted."""
        if len(self._waiting) < self._most_waiting:
            self._waiting.append(request)
            return True
        self.dropped += 1
        self._dropped_since += 1
        return False

    def next_batch(self) -> TrackedBatch | None:
        """What has to be sent now: the batch that was not taken yet, else a new one; None where nothing waits."""
        if self._batch is None and self._waiting:
            requests = tuple(self._waiting.popleft() for _ in range(min(self._most_sent, len(self._waiting))))
            self._number += 1
            self._batch = TrackedBatch(self._sender, self._number, requests, self._dropped_since)
            self._dropped_since = 0
        return self._batch

    def taken(self) -> None:
        """Note that the batch is in the file."""
        self._batch = None
