"""Several streams of pieces become one, for a request with several prompts.

Rows are renumbered so that each has an index of its own. Closing the merged stream closes them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from deployments.shared.wire import Piece


async def merged(streams: Sequence[AsyncGenerator[list[Piece]]], rows_per_stream: int) -> AsyncGenerator[list[Piece]]:
    """Pieces of all streams as they come, the first piece only once every stream has one. The first error ends all."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for pieces in only:
                yield pieces
        return
    queue: asyncio.Queue[list[Piece] | BaseException | None] = asyncio.Queue()
    tasks = [
        asyncio.create_task(_pump(stream, number * rows_per_stream, queue)) for number, stream in enumerate(streams)
    ]
    try:
        held: list[list[Piece]] = []
        begun: set[int] = set()
        running = len(streams)
        while running:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                running -= 1
                continue
            held.append(item)
            begun.add(item[0].row // rows_per_stream)
            if len(begun) == len(streams):
                for pieces in held:
                    yield pieces
                held.clear()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(
    stream: AsyncGenerator[list[Piece]], offset: int, queue: asyncio.Queue[list[Piece] | BaseException | None]
) -> None:
    try:
        async with aclosing(stream) as batches:
            async for pieces in batches:
                queue.put_nowait([piece._replace(row=piece.row + offset) for piece in pieces])
        queue.put_nowait(None)
    except Exception as error:
        queue.put_nowait(error)
