"""The one thread that works on the files of the store of objects, and the parts that it works with.

The event loop only waits. The files are opened with the first piece of work, and where that fails (another process has
them still, the disk is unusable), that piece fails and the next one tries again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from adaptrix_core.config.sections import ObjectSettings
from adaptrix_core.request_limits import MOST
from deployments.objects.batch_lines import LineTable
from deployments.objects.contents import ContentFiles
from deployments.objects.database import Database
from deployments.objects.table import ObjectTable
from deployments.objects.uploads import Uploads

T = TypeVar("T")

SWEEP_S = 30.0
"""Seconds between two looks for what has expired; nobody sees it meanwhile."""


@dataclass(frozen=True)
class Parts:
    """What the open store is made of."""

    database: Database
    files: ContentFiles
    table: ObjectTable
    uploads: Uploads
    lines: LineTable


class Keeper:
    """The store of one state directory; one process has it open at a time."""

    def __init__(self, state_dir: Path, limits: ObjectSettings, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._directory = state_dir / "objects"
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, "adaptrix-objects")
        self._parts: Parts | None = None
        self._swept_at = 0.0

    async def do(self, work: Callable[[Parts], T]) -> T:
        """The result of ``work``, after all that was asked for before. It is done even if nobody waits any more."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(self._do, work))

    async def close(self) -> None:
        """Let go of the files, when all that was asked before is done."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _do(self, work: Callable[[Parts], T]) -> T:
        if self._parts is None:
            self._parts = self._opened()
        if abs(self.now() - self._swept_at) > SWEEP_S:
            self._swept_at = self.now()
            self._parts.table.sweep()
            self._parts.uploads.sweep()
        return work(self._parts)

    def _opened(self) -> Parts:
        database = Database(self._directory)
        try:
            files = ContentFiles(self._directory)
            table = ObjectTable(database, files, self._limits, self.now)
            return Parts(database, files, table, Uploads(table, files, MOST.uploads_at_once), LineTable(database))
        except BaseException:
            database.close()
            raise

    def _close(self) -> None:
        if self._parts is not None:
            self._parts.database.close()
            self._parts = None
