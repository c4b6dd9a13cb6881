"""Events of one request on their way from the engine's thread to their reader, alone or a few together.

A reader that sends them on pays per group, not per event, so events are gathered (coalesced) for a time that it names.
The first events, and those that end a row, are due at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from adaptrix_core.engine.request import TokenEvent


def at_once() -> float:
    """The default of ``until_next_s``: no time between two groups of events."""
    return 0.0


class Mailbox:
    """Belongs to the event loop in which it is made; every method is called there."""

    def __init__(self, until_next_s: Callable[[], float] = at_once) -> None:
        """until_next_s: called whenever events are taken; seconds for which the next ones are gathered."""
        self.loop = asyncio.get_running_loop()
        self._until_next_s = until_next_s
        self._num_unfinished = 1  # until `expect`: the request may be added while its reader goes away
        self._events: list[TokenEvent] = []
        self._error: BaseException | None = None
        self._is_due = asyncio.Event()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the end of every row has been taken."""
        return self._num_unfinished <= 0

    def expect(self, num_rows: int) -> None:
        """Set the number of rows whose ends will come, before the first event is taken."""
        self._num_unfinished = num_rows

    def put(self, events: Iterable[TokenEvent]) -> None:
        """Add what one step produced."""
        before = len(self._events)
        self._events.extend(events)
        if self.loop.time() >= self._due or any(event.finish_reason for event in self._events[before:]):
            self._is_due.set()
        elif self._timer is None:
            self._timer = self.loop.call_at(self._due, self._is_due.set)

    def fail(self, error: BaseException) -> None:
        """Have ``error`` raised at the reader, after what was put in before."""
        self._error = error
        self._is_due.set()

    async def take(self) -> list[TokenEvent]:
        """All events that are there, as soon as they are due; one reader at a time."""
        await self._is_due.wait()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        events, self._events = self._events, []
        if not events:
            assert self._error is not None
            raise self._error
        if self._error is None:
            self._is_due.clear()
        self._due = self.loop.time() + self._until_next_s()
        self._num_unfinished -= sum(event.finish_reason is not None for event in events)
        return events
