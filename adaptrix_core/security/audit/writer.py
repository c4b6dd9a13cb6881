"""The writer: takes events from any thread, and says when each is on the disk.

Events of one moment share a write and a flush (group commit). What has to be recorded before it happens is written at
once; other events wait a moment for company, and are dropped, and counted in the log, when more of them wait than may.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from adaptrix_core.errors import AuditUnavailable
from adaptrix_core.security.audit.chain import DROPPED
from adaptrix_core.security.audit.log import AuditLog
from adaptrix_core.security.audit.record import AuditEvent

logger = logging.getLogger(__name__)

LINGER_S = 0.05
"""Seconds that an event which is not urgent waits for others."""
MOST_WAITING = 4096
"""Events that may wait; further ones that are not urgent are dropped."""
MOST_TOGETHER = 512
"""Events in one write."""
SILENCE_S = 3600.0
"""Seconds without any event after which a checkpoint says so."""
TEND_S = 60.0
"""Seconds between two looks for files that are to be removed."""


@dataclass
class _Waiting:
    events: Sequence[AuditEvent]
    is_urgent: bool
    written: Future[None] = field(default_factory=Future)


class AuditWriter:
    """Writes one log in a thread of its own."""

    def __init__(self, log: AuditLog, checkpoint_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """checkpoint_s: seconds after an event within which a checkpoint is signed."""
        self._log = log
        self._checkpoint_s = checkpoint_s
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._num_waiting = 0
        self._dropped = 0
        self._is_closing = False
        self._signed_at = self._tended_at = monotonic()
        self._thread = threading.Thread(target=self._work, name="adaptrix-audit", daemon=True)
        self._thread.start()

    def record(self, events: Sequence[AuditEvent], is_urgent: bool = False) -> Future[None]:
        """Have events written; the future ends when all are on the disk.

        It fails with AuditUnavailable where they could not be; such that are not urgent are then counted as dropped.
        """
        waiting = _Waiting(tuple(events), is_urgent)
        with self._changed:
            if self._is_closing:
                waiting.written.set_exception(AuditUnavailable("the audit log is closed: the server stops"))
            elif not is_urgent and self._num_waiting + len(waiting.events) > MOST_WAITING:
                self._dropped += len(waiting.events)
                waiting.written.set_exception(AuditUnavailable(f"more than {MOST_WAITING} audit events wait already"))
            else:
                self._waiting.append(waiting)
                self._num_waiting += len(waiting.events)
                self._changed.notify()
        return waiting.written

    def close(self) -> None:
        """Write what waits, sign where the log ends, and let go of it."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            self._write(batch)
            self._tend()
        with _reported():
            self._log.checkpoint()
        self._log.close()

    def _next(self) -> list[_Waiting]:
        """What is to be written together; nothing once the writer is closed. Tends the log while there is nothing."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing, self._checkpoint_s)
                if self._waiting or self._is_closing:
                    self._changed.wait_for(self._is_due, LINGER_S)
                    return self._taken()
            self._tend()

    def _is_due(self) -> bool:
        return self._is_closing or self._num_waiting >= MOST_TOGETHER or any(one.is_urgent for one in self._waiting)

    def _taken(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        room = MOST_TOGETHER
        while self._waiting and (not taken or len(self._waiting[0].events) <= room):
            taken.append(self._waiting.popleft())
            room -= len(taken[-1].events)
        self._num_waiting -= MOST_TOGETHER - room
        return taken

    def _write(self, batch: Sequence[_Waiting]) -> None:
        with self._changed:
            dropped, self._dropped = self._dropped, 0
        told = [AuditEvent(DROPPED, "noted", details={"events": dropped})] if dropped else []
        try:
            self._log.append([*told, *(event for one in batch for event in one.events)])
        except Exception as error:
            if not isinstance(error, AuditUnavailable):
                logger.exception("audit log: %d events could not be written", len(batch))
            with self._changed:
                self._dropped += dropped + sum(len(one.events) for one in batch if not one.is_urgent)
            for one in batch:
                one.written.set_exception(error)
            return
        for one in batch:
            one.written.set_result(None)

    def _tend(self) -> None:
        """Sign and remove what is due."""
        now = self._monotonic()
        with _reported():
            silent_s = now - self._signed_at
            if silent_s >= self._checkpoint_s and self._log.checkpoint(even_if_silent=silent_s >= SILENCE_S):
                self._signed_at = now
        if now - self._tended_at >= TEND_S:
            self._tended_at = now
            with _reported():
                self._log.remove_old()


@contextmanager
def _reported() -> Iterator[None]:
    """Log what fails: nobody waits for it, and it is tried again."""
    try:
        yield
    except (AuditUnavailable, OSError) as error:
        logger.error("audit log: %s", error)
