"""Whether the engine's thread makes progress: it notes the time of every step and command, any thread may read it.

A step takes milliseconds to a few seconds. One that never ends (in a driver, in a library) blocks everything behind it
for ever; only a new process helps (`deployments/replica/watchdog.py`). A machine that is slow, or busy with other
work, must not be mistaken for that. So the measure is the processor time that the thread itself has used, compared with
the cost of earlier steps of that size; and a thread that uses none at all for `STUCK_S` waits for something that does
not come.

Two kinds of steps may take longer: the first ones, in which kernels are built, and those while layers are compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

STUCK_S = 10.0
COMPILING_S = 600.0
"""Limit in seconds for a step in which something is compiled."""
FIRST_STEPS = 4
SLACK = 10.0
"""Processor time that a step may take beyond the limit, as a multiple of the lowest cost of its tokens so far."""
PROGRESS_S = 0.001
"""Least processor time, in seconds, that counts as progress since the last look."""


@dataclass(frozen=True)
class _Moment:
    wall_s: float
    processor_s: float


class Heartbeat:
    """Written by the engine's thread, read by any other; single assignments, so no lock."""

    def __init__(
        self,
        is_compiling: Callable[[], bool] = lambda: False,
        limit_s: float = STUCK_S,
        clock: Callable[[], float] = time.monotonic,
        num_tokens: Callable[[], int] = lambda: 0,
    ) -> None:
        """num_tokens: tokens of the step that is being computed, or was computed last."""
        self._is_compiling = is_compiling
        self._limit_s = limit_s
        self._clock = clock
        self._processor_clock = clock
        self._num_tokens = num_tokens
        self._begun: _Moment | None = None
        self._starving: _Moment | None = None
        """Time since which there is work but no row can run; None while rows run."""
        self._progress = _Moment(clock(), 0.0)
        """Time of the last look that found processor time used."""
        self._num_steps = 0
        self._token_s: float | None = None
        """Lowest processor time of a token in any step, in seconds."""

    def watch(self, thread_id: int) -> None:
        """Measure this running thread's processor time. Before, and where it cannot be read, wall-clock time counts."""
        if hasattr(time, "pthread_getcpuclockid"):
            clock_id = time.pthread_getcpuclockid(thread_id)
            self._processor_clock = lambda: time.clock_gettime(clock_id)

    def begin(self) -> None:
        """Note that the thread begins a step or a command."""
        self._begun = self._now()

    def stepped(self, has_progressed: bool) -> None:
        """Note that a step has ended, and whether it computed anything."""
        if has_progressed:
            self._note_cost()
            self._num_steps += 1
            self._starving = None
        elif self._starving is None:
            self._starving = self._now()

    def rest(self) -> None:
        """Note that there is no work: from now on the thread may wait for a command for ever."""
        self._begun = self._starving = None

    @property
    def silent_s(self) -> float:
        """Seconds since the thread began its step or command, or last computed anything; 0.0 without work."""
        since = self._since()
        return 0.0 if since is None else self._clock() - since.wall_s

    @property
    def is_stuck(self) -> bool:
        """Whether the current step or command takes too long. To be polled: each call compares with the last one."""
        since, now = self._since(), self._now()
        if now.processor_s - self._progress.processor_s >= PROGRESS_S:
            self._progress = now
        if since is None:
            return False
        used_s = now.processor_s - since.processor_s
        idle_s = now.wall_s - max(since.wall_s, self._progress.wall_s)
        if self._num_steps < FIRST_STEPS or self._is_compiling():
            return now.wall_s - since.wall_s > max(self._limit_s, COMPILING_S)
        return used_s > self._limit_s + self._expected_s or idle_s > self._limit_s

    @property
    def _expected_s(self) -> float:
        """Processor time, in seconds, that the step being computed may take."""
        return SLACK * self._num_tokens() * (self._token_s or 0.0)

    def _since(self) -> _Moment | None:
        moments = [moment for moment in (self._begun, self._starving) if moment is not None]
        return min(moments, key=lambda moment: moment.wall_s, default=None)

    def _note_cost(self) -> None:
        if self._begun is not None and (count := self._num_tokens()):
            cost_s = (self._now().processor_s - self._begun.processor_s) / count
            self._token_s = cost_s if self._token_s is None else min(self._token_s, cost_s)

    def _now(self) -> _Moment:
        try:
            return _Moment(self._clock(), self._processor_clock())
        except OSError:  # the thread has ended
            return _Moment(self._clock(), self._progress.processor_s)
