"""Follows the keys file: a change is in force within a second, and ends the requests of keys that stopped working."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from adaptrix_core.errors import ConfigError, Unauthorized
from deployments.callers.key_file import read_keys
from deployments.callers.key_ring import KeyRing
from deployments.callers.running_requests import RunningRequests

logger = logging.getLogger(__name__)

LOOK_S = 0.5
"""Seconds between two looks at the file."""


class KeysFollower:
    """Keeps one ring to one file."""

    def __init__(self, ring: KeyRing, path: Path | None, running: RunningRequests) -> None:
        """path: None for a server without keys, where there is nothing to follow."""
        self._ring = ring
        self._path = path
        self._running = running
        self._seen: object = None

    async def look(self) -> float:
        """Take over what has changed, and end what may not run any more; when to look again, in seconds."""
        if self._path is not None:
            await asyncio.to_thread(self._take_over, self._path)
            for key_id in self._running.key_ids():
                why = self._ring.why_ended(key_id)
                if why is not None:
                    error = Unauthorized(f"API key {key_id!r} {why}, so its requests end", code="key_revoked")
                    ended = self._running.end(key_id, error)
                    logger.warning("API key %r %s: %d of its requests were ended", key_id, why, ended)
        return LOOK_S

    def _take_over(self, path: Path) -> None:
        """Read the file if it is another one than before. What cannot be read changes nothing."""
        try:
            seen = _identity(path)
            if seen == self._seen:
                return
            self._seen = seen
            self._ring.replace(read_keys(path))
        except (OSError, ConfigError) as error:
            logger.error("the keys are as they were: %s", error)


def _identity(path: Path) -> tuple[int, ...]:
    """Differs where the file is another one, or was written to."""
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
