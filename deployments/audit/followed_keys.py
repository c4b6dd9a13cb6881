"""Follows the keys file for the audit log: each change of a key is recorded, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from adaptrix_core.errors import AuditUnavailable, ConfigError
from adaptrix_core.security.audit.record import AuditEvent
from deployments.audit.key_changes import key_changes
from deployments.callers.key_file import KeyRecord, read_keys

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at the file."""


class FollowedKeys:
    """The keys of one file, as the log knows them."""

    def __init__(self, path: Path | None, record: Callable[[Sequence[AuditEvent], bool], Awaitable[None]]) -> None:
        """path: None for a server without keys. record: has events written, urgent or not."""
        self._path = path
        self._record = record
        self._known: tuple[KeyRecord, ...] | None = None

    async def look(self) -> float:
        """Record what has changed; when to look again, in seconds. What could not be recorded is tried again."""
        if self._path is not None:
            try:
                now = await asyncio.to_thread(read_keys, self._path)
                changes = key_changes(self._known, now)
                if changes:
                    await self._record(changes, True)
                self._known = now
            except (ConfigError, OSError) as error:
                logger.debug("the keys file is not read now: %s", error)  # whoever uses the keys says so louder
            except AuditUnavailable as error:
                logger.error("changes of keys are not in the audit log yet: %s", error.message)
        return LOOK_S
