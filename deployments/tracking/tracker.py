"""The tracker of one file: takes batches in, answers questions, and lets what is too old go, without holding up others.

The file is opened with the first piece of work, and where that fails, that piece fails and the next one tries again. A
question does not hold up the batches: it reads beside them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from adaptrix_core.config.tracker_section import TrackerSettings
from adaptrix_core.errors import AdaptrixError
from adaptrix_core.observe.tracker.book import TrackedBatch, UsageBook
from adaptrix_core.observe.tracker.file import tracker_file
from adaptrix_core.observe.tracker.live_view import LiveFigures, LiveView
from adaptrix_core.observe.tracker.questions import UsageAnswer, UsageQuestion, ask

logger = logging.getLogger(__name__)

T = TypeVar("T")

PRUNE_S = 60.0
"""Seconds between two looks for what is too old."""
PRUNE_ON_S = 1.0
"""Seconds between two bites, while there is more of it."""
QUESTIONS_AT_ONCE = 2


class Tracker:
    """Of one file; no other process may write to it."""

    def __init__(self, settings: TrackerSettings, state_dir: Path, now: Callable[[], float] = time.time) -> None:
        """now: seconds since 1970, by which is decided what is too old."""
        self._settings = settings
        self._path = tracker_file(settings, state_dir)
        self._now = now
        self._writing = ThreadPoolExecutor(1, "adaptrix-tracker")
        self._reading = ThreadPoolExecutor(QUESTIONS_AT_ONCE, "adaptrix-tracker-questions")
        self._book: UsageBook | None = None
        self._live = LiveView()
        self._pruning: asyncio.Task[None] | None = None

    async def add(self, batch: TrackedBatch) -> None:
        """Keep a batch, unless it came before. Raises TrackerUnusable, StorageFailed; then it may be sent again."""
        if self._pruning is None:
            self._pruning = asyncio.create_task(self._keep_pruning())
        if await self._write(lambda book: book.add(batch)):
            self._live.add(batch.requests)

    async def ask(self, question: UsageQuestion) -> UsageAnswer:
        """The answer by all that was taken in so far. Raises TrackerUnusable, InvalidRequest."""
        await self._write(lambda _: None)  # the file is there, and what came before is in it
        return await asyncio.get_running_loop().run_in_executor(self._reading, ask, self._path, question)

    async def live(self, tenant: str | None = None) -> list[LiveFigures]:
        """The last minute by adapter. tenant: only its requests; None: everybody's."""
        return self._live.figures(tenant)

    async def close(self) -> None:
        """Let go of the file, when all that was asked before is done."""
        if self._pruning is not None:
            self._pruning.cancel()
        await asyncio.get_running_loop().run_in_executor(self._writing, self._close)
        self._writing.shutdown()
        self._reading.shutdown()

    async def _write(self, work: Callable[[UsageBook], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writing, self._done, work)

    def _done(self, work: Callable[[UsageBook], T]) -> T:
        if self._book is None:
            self._book = UsageBook(self._path)
        return work(self._book)

    async def _keep_pruning(self) -> None:
        kept = self._settings
        while True:
            has_more = False
            try:
                has_more = await self._write(lambda book: book.prune(self._now(), kept.requests_days, kept.sums_days))
            except AdaptrixError as error:
                logger.warning("what is too old stays: %s", error.message)
            await asyncio.sleep(PRUNE_ON_S if has_more else PRUNE_S)

    def _close(self) -> None:
        if self._book is not None:
            self._book.close()
            self._book = None
