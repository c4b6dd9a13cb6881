"""Texts that wait for the embedding model: embedded together, and in turns between tenants.

Those that find the model idle start at once; those that come meanwhile form the next batch. A batch takes one request
of each tenant before it takes a second one of any, so a tenant that sends a thousand makes itself wait. Knows no Ray.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaptrix_core.routing.message import Vectors

BATCH = 32
"""Most requests whose texts are embedded in one batch."""

Texts = tuple[Sequence[str], bytes]
"""The texts of one request, and its tenant's salt."""
Waiting = tuple[Texts, "asyncio.Future[Vectors]"]


class EmbeddingTurns:
    """Belongs to one event loop."""

    def __init__(self, embed: Callable[[list[Texts]], Sequence[Vectors]]) -> None:
        """embed: the vectors of each request's texts; runs in a thread, one call at a time."""
        self._embed = embed
        self._waiting: OrderedDict[bytes, deque[Waiting]] = OrderedDict()
        self._running: asyncio.Task[Any] | None = None

    async def rows(self, texts: Sequence[str], salt: bytes) -> Vectors:
        """The vectors of ``texts``, ``(texts, dimension)``. Raises what the model raises."""
        future: asyncio.Future[Vectors] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(salt, deque()).append(((texts, salt), future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while batch := self._next_batch():
                try:
                    rows = await asyncio.to_thread(self._embed, [texts for texts, _ in batch])
                except Exception as error:  # it is the waiting requests' error, and the next batch may go well
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), own in zip(batch, rows, strict=True):
                    if not future.done():
                        future.set_result(own)
        finally:
            self._running = None

    def _next_batch(self) -> list[Waiting]:
        """One request of each tenant in turn, until the batch is full or nobody waits; those that were left are out."""
        batch: list[Waiting] = []
        while self._waiting and len(batch) < BATCH:
            salt, queue = self._waiting.popitem(last=False)
            one = queue.popleft()
            if queue:
                self._waiting[salt] = queue
            if not one[1].done():
                batch.append(one)
        return batch
