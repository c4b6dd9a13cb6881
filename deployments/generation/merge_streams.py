"""Step 4 of the pipeline: merges the streams of a request with several prompts into one.

Rows are renumbered so that each has an index of its own. Closing the merged stream closes them all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing

from deployments.generation.ports import PieceStream
from deployments.shared.wire import Piece


class MergedStreams:
    """Pieces of all streams as they come, the first only once every stream has one. The first error ends all."""

    def __init__(self, streams: Sequence[PieceStream], rows_per_stream: int) -> None:
        """rows_per_stream: row ``i`` of stream ``number`` becomes row ``number * rows_per_stream + i``."""
        self._streams = streams
        self._rows_per_stream = rows_per_stream
        self._come: asyncio.Queue[tuple[int, list[Piece] | Exception | None]] = asyncio.Queue()
        """(number of a stream, its next pieces, its error, or None for its end)."""
        self._pumps: list[asyncio.Task[None]] | None = None
        """The tasks that read the streams, one each, from the first read on."""
        self._silent = set(range(len(streams)))
        """Numbers of the streams that have sent no piece yet."""
        self._num_running = len(streams)
        self._held: deque[list[Piece]] = deque()

    def __aiter__(self) -> MergedStreams:
        return self

    async def __anext__(self) -> list[Piece]:
        if self._pumps is None:
            self._pumps = [asyncio.create_task(self._pump(number)) for number in range(len(self._streams))]
        while self._silent or not self._held:
            if not self._num_running:
                raise StopAsyncIteration
            number, come = await self._come.get()
            if isinstance(come, Exception):
                raise come
            if come is None:
                self._num_running -= 1
            else:
                self._silent.discard(number)
                self._held.append(come)
        return self._held.popleft()

    async def aclose(self) -> None:
        """Close every stream (idempotent)."""
        pumps, self._pumps = self._pumps or [], []
        self._num_running = 0
        self._held.clear()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, number: int) -> None:
        offset = number * self._rows_per_stream
        try:
            async with aclosing(self._streams[number]) as stream:
                async for pieces in stream:
                    self._come.put_nowait((number, [piece._replace(row=piece.row + offset) for piece in pieces]))
            self._come.put_nowait((number, None))
        except Exception as error:
            self._come.put_nowait((number, error))
