"""Whether the engine's thread gets on: it says when it turns to a step or a command, anybody may ask how long ago.

A step takes milliseconds to a few seconds. One that takes longer than `STUCK_S` hangs, in a driver say, and what waits
behind it is never served; only a new process helps (`deployments/watchdog.py`). Two things may take longer: the first
steps, in which kernels are built, and a step while layers are being compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable

STUCK_S = 10.0
COMPILING_S = 600.0
"""So long for what compiles."""
FIRST_STEPS = 4


class Heartbeat:
    """Written by the engine's thread, read by any other; single assignments, so no lock."""

    def __init__(
        self,
        is_compiling: Callable[[], bool] = lambda: False,
        limit_s: float = STUCK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_compiling = is_compiling
        self._limit_s = limit_s
        self._clock = clock
        self._begun: float | None = None
        self._starving: float | None = None
        """Since when there was work and no row could run."""
        self._num_steps = 0

    def begin(self) -> None:
        """The thread turns to a step or a command."""
        self._begun = self._clock()

    def stepped(self, has_progressed: bool) -> None:
        """A step has ended; whether it computed anything."""
        if has_progressed:
            self._num_steps += 1
            self._starving = None
        elif self._starving is None:
            self._starving = self._clock()

    def rest(self) -> None:
        """There is nothing to do: waiting for a command may take for ever."""
        self._begun = self._starving = None

    @property
    def silent_s(self) -> float:
        """Seconds since the thread turned to what it does now, or last computed anything; 0.0 without work."""
        since = [moment for moment in (self._begun, self._starving) if moment is not None]
        return self._clock() - min(since) if since else 0.0

    @property
    def is_stuck(self) -> bool:
        """Whether what it does takes too long."""
        builds = self._num_steps < FIRST_STEPS or self._is_compiling()
        return self.silent_s > (max(self._limit_s, COMPILING_S) if builds else self._limit_s)
