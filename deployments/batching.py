"""Single token events become one batch per engine step, so that a step costs one message however many rows it moved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def batched(items: AsyncIterator[T], ended: asyncio.Future[None] | None = None) -> AsyncGenerator[list[T]]:
    """Everything that is there, as soon as something is. Closing this closes ``items``.

    An exception that is set on ``ended`` ends the batches: it is raised after what had come before it.
    """
    queue: asyncio.Queue[T | BaseException | None] = asyncio.Queue()
    if ended is not None:
        ended.add_done_callback(lambda done: None if done.cancelled() else queue.put_nowait(done.exception()))
    task = asyncio.create_task(_pump(items, queue))
    try:
        while True:
            batch = [await queue.get()]
            while not queue.empty():
                batch.append(queue.get_nowait())
            good: list[T] = []
            for item in batch:
                if isinstance(item, BaseException):
                    if good:
                        yield good
                    raise item
                if item is None:
                    if good:
                        yield good
                    return
                good.append(item)
            yield good
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _pump(items: AsyncIterator[T], queue: asyncio.Queue[T | BaseException | None]) -> None:
    try:
        async for item in items:
            queue.put_nowait(item)
        queue.put_nowait(None)
    except Exception as error:
        queue.put_nowait(error)
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
