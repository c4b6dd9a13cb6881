"""Whether the engine's thread gets on: it says when it turns to a step or a command, anybody may ask how long ago.

A step takes milliseconds to a few seconds. One that never ends (in a driver, in a library) keeps what waits behind it
for ever; only a new process helps (`deployments/replica/watchdog.py`). A machine that is slow, or busy with others'
work, must not be taken for that. So what counts is the processor time that the thread itself has used, against what
a step of its size has cost before; and a thread that uses none at all for `STUCK_S` waits for something that does
not come.

Two things may take longer: the first steps, in which kernels are built, and a step while layers are being compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

STUCK_S = 10.0
COMPILING_S = 600.0
"""So long for what compiles."""
FIRST_STEPS = 4
SLACK = 10.0
"""A step may take so many times what its tokens cost at the best."""
PROGRESS_S = 0.001
"""Processor time that a thread which gets on has used since it was last looked at."""


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
        """num_tokens: of the step that is being computed, or was computed last."""
        self._is_compiling = is_compiling
        self._limit_s = limit_s
        self._clock = clock
        self._processor_clock = clock
        self._num_tokens = num_tokens
        self._begun: _Moment | None = None
        self._starving: _Moment | None = None
        """Since when there was work and no row could run."""
        self._progress = _Moment(clock(), 0.0)
        """When the thread was last seen to have used processor time."""
        self._num_steps = 0
        self._token_s: float | None = None
        """Processor time of a token in the step that was cheapest by token."""

    def watch(self, thread_id: int) -> None:
        """Count the processor time of this running thread. Without it, or where that can't be told, time is time."""
        if hasattr(time, "pthread_getcpuclockid"):
            clock_id = time.pthread_getcpuclockid(thread_id)
            self._processor_clock = lambda: time.clock_gettime(clock_id)

    def begin(self) -> None:
        """The thread turns to a step or a command."""
        self._begun = self._now()

    def stepped(self, has_progressed: bool) -> None:
        """A step has ended; whether it computed anything."""
        if has_progressed:
            self._note_cost()
            self._num_steps += 1
            self._starving = None
        elif self._starving is None:
            self._starving = self._now()

    def rest(self) -> None:
        """There is nothing to do: waiting for a command may take for ever."""
        self._begun = self._starving = None

    @property
    def silent_s(self) -> float:
        """Seconds since the thread turned to what it does now, or last computed anything; 0.0 without work."""
        since = self._since()
        return 0.0 if since is None else self._clock() - since.wall_s

    @property
    def is_stuck(self) -> bool:
        """Whether what it does takes too long. To be asked again and again."""
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
        """Processor time that the step being computed may well take."""
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
