"""Keeps a flood of refused requests from filling the disk: some of each kind are recorded, the others are counted."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from adaptrix_core.security.audit.record import AuditEvent, Outcome

MOST = 20
"""Events of one action and outcome that are recorded one by one in `PERIOD_S`."""
PERIOD_S = 60.0

Kind = tuple[str, Outcome]


class FloodGate:
    """Of one process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._seen: Counter[Kind] = Counter()

    def admits(self, event: AuditEvent) -> bool:
        """Whether an event is to be recorded by itself; if not, it is counted."""
        kind = (event.action, event.outcome)
        self._seen[kind] += 1
        return self._seen[kind] <= MOST

    def counted(self) -> list[AuditEvent]:
        """What was only counted, once its time is over: an event for each kind, with the number."""
        now = self._monotonic()
        if now - self._began < PERIOD_S:
            return []
        seen, self._seen, self._began = self._seen, Counter(), now
        return [
            AuditEvent(action, outcome, details={"events": number - MOST, "seconds": round(PERIOD_S)})
            for (action, outcome), number in seen.items()
            if number > MOST
        ]
