"""The keeper of the audit log: one named, detached actor that writes what all processes of a server record.

It runs on the head node, whose disk the log is on, survives replicas and redeployments, takes the log up where it was
left when it restarts, and retires when its settings change. It also follows the keys file, since keys are changed by
the command line, which asks no server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import ray

from adaptrix_core import __version__
from adaptrix_core.config import Settings
from adaptrix_core.errors import AuditUnavailable
from adaptrix_core.observe.logs import start_logging
from adaptrix_core.security.audit.record import AuditEvent
from adaptrix_core.security.audit.writer import AuditWriter
from deployments.audit.followed_keys import FollowedKeys
from deployments.audit.opened import opened_writer
from deployments.shared.follower import Follower

logger = logging.getLogger(__name__)


class AuditKeeper:
    """The actor's class."""

    def __init__(self, settings: Settings, fingerprint: str) -> None:
        """fingerprint: of what it was made with (`handle.py`)."""
        start_logging(settings.observe)
        self._settings = settings
        self._fingerprint = fingerprint
        self._writer: AuditWriter | None = None
        self._keys = Follower(FollowedKeys(settings.security.api_keys_file, self.record).look)
        self._has_begun = False

    async def retire_unless(self, wanted: str) -> None:
        """End this actor for good if it was made with other settings; the next process that asks makes a new one."""
        if wanted != self._fingerprint:
            self._keys.stop()
            if self._writer is not None:
                await asyncio.to_thread(self._writer.close)
            ray.actor.exit_actor()
        if not self._has_begun:
            self._has_begun = True
            await self._begin()

    async def record(self, events: Sequence[AuditEvent], is_urgent: bool) -> None:
        """Have events written; they are on the disk when this returns. Raises AuditUnavailable."""
        if self._writer is None:
            self._writer = opened_writer(self._settings.audit)
        await asyncio.wrap_future(self._writer.record(events, is_urgent))

    async def _begin(self) -> None:
        self._keys.start()
        try:
            await self.record([AuditEvent("server.started", "done", details={"version": __version__})], is_urgent=True)
        except AuditUnavailable as error:
            logger.error("the audit log cannot be written, so administrators are refused: %s", error.message)
