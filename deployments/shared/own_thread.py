"""Slow work in a thread of its own.

`asyncio.to_thread` shares a handful of threads among everything in a process: a few reads that hang, on a network
file system say, would stop all the rest. Here each call has its own, and one that hangs harms nobody else.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(function: Callable[..., T], *args: object) -> T:
    """Call ``function(*args)`` and return its result. Who is cancelled leaves it behind; it cannot be stopped."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(function, *args))
        except BaseException as error:  # handed to the caller, who awaits it
            future.set_exception(error)

    threading.Thread(target=run, name="adaptrix-slow-work", daemon=True).start()
    return await asyncio.wrap_future(future)
