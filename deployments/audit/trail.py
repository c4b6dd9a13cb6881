"""What one process records in the audit log: what administrators do, before and after, and whom it refused.

An action is done only if the log has it on the disk that it is about to be: no log, no action. Other events are sent
together each second, and nobody waits for them. A server without an audit log has a trail too, which leads nowhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from adaptrix_core.errors import AdaptrixError, AuditUnavailable, Forbidden
from adaptrix_core.security.audit.chain import DROPPED
from adaptrix_core.security.audit.record import AuditEvent, Outcome
from deployments.audit.flood_gate import FloodGate

logger = logging.getLogger(__name__)

FLUSH_S = 1.0
"""Seconds between two times that ordinary events are sent."""
MOST_KEPT = 1000
"""Ordinary events that are kept for sending; older ones give way, and are counted."""


class AuditSink(Protocol):
    """Where the log is written."""

    async def record(self, events: Sequence[AuditEvent], is_urgent: bool) -> None:
        """Have events written; they are on the disk when this returns.

        Raises AuditUnavailable where they cannot be, and anything else where the writer cannot be reached.
        """


@dataclass
class Act:
    """What is known of an action once it is done, for the line that says so."""

    package_digest: str | None = None
    details: dict[str, str | int] = field(default_factory=dict)


class AuditTrail:
    """The trail of one process."""

    def __init__(self, sink: AuditSink | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        """sink: None for a server that keeps no audit log."""
        self._sink = sink
        self._gate = FloodGate(monotonic)
        self._kept: deque[AuditEvent] = deque()
        self._lost = 0

    @asynccontextmanager
    async def administered(self, event: AuditEvent) -> AsyncIterator[Act]:
        """Context in which an administrator's action is done. Raises AuditUnavailable before it, if at all.

        event: what is done, to what, by whom; its outcome is filled in.
        """
        act = Act(event.package_digest)
        await self._require(replace(event, outcome="asked"))
        try:
            yield act
        except Exception as error:
            outcome: Outcome = "refused" if isinstance(error, Forbidden) else "failed"
            code = error.code if isinstance(error, AdaptrixError) else type(error).__name__
            details = {**event.details, **act.details, "error": code}
            await self._tell(replace(event, outcome=outcome, details=details))
            raise
        except asyncio.CancelledError:
            # The client has left; whether it was done, the catalogue will tell. Nothing can be waited for any more.
            self._keep(replace(event, outcome="failed", details={**event.details, "error": "client_left"}))
            raise
        details = {**event.details, **act.details}
        await self._tell(replace(event, outcome="done", package_digest=act.package_digest, details=details))

    def note(self, event: AuditEvent) -> None:
        """Have an ordinary event recorded within a second or so; of a flood, its number."""
        if self._gate.admits(event):
            self._keep(event)

    async def flush(self) -> float:
        """Send what is kept; when to do so again, in seconds (for a `Follower`)."""
        events = [*self._told_of_lost(), *self._kept, *self._gate.counted()]
        if self._sink is not None and events:
            self._kept.clear()
            try:
                await self._sink.record(events, is_urgent=False)
            except AuditUnavailable as error:  # whose writer has counted them
                logger.error("%d audit events not recorded: %s", len(events), error.message)
            except Exception as error:
                self._lost += sum(_number_of(event) for event in events)
                logger.error("%d audit events not recorded: %s", len(events), error)
        return FLUSH_S

    def _keep(self, event: AuditEvent) -> None:
        if self._sink is None:
            return
        if len(self._kept) >= MOST_KEPT:
            self._kept.popleft()
            self._lost += 1
        self._kept.append(event)

    def _told_of_lost(self) -> list[AuditEvent]:
        lost, self._lost = self._lost, 0
        return [AuditEvent(DROPPED, "noted", details={"events": lost})] if lost else []

    async def _require(self, event: AuditEvent) -> None:
        if self._sink is None:
            return
        try:
            await self._sink.record([event], is_urgent=True)
        except Exception as error:
            reason = error.message if isinstance(error, AdaptrixError) else str(error)
            logger.error("%s is refused, as the audit log cannot be written: %s", event.action, reason)
            raise AuditUnavailable(
                "what administrators do is recorded first, and the audit log cannot be written, so nothing was done; "
                "the server's log says why (setting audit.dir)"
            ) from None

    async def _tell(self, event: AuditEvent) -> None:
        """Record how an action ended. It has happened, so a log that fails now changes nothing any more."""
        if self._sink is None:
            return
        try:
            await self._sink.record([event], is_urgent=True)
        except Exception as error:
            logger.error("the outcome of %s is not in the audit log: %s", event.action, error)
            self._lost += 1


def _number_of(event: AuditEvent) -> int:
    """How many events an event stands for."""
    number = event.details.get("events")
    return number if isinstance(number, int) else 1
