"""Runs slow work in a thread of its own.

`asyncio.to_thread` shares a handful of threads among everything in a process: a few reads that hang, say on a network
file system, would block all other work. Here each call has its own thread, and one that hangs blocks no other.
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
    """The result of ``function(*args)``. Cancelling the caller does not stop the thread, which runs to its end."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            future.set_result(context.run(function, *args))
        except BaseException as error:  # raised at the caller, which awaits it
            future.set_exception(error)

    threading.Thread(target=run, name="adaptrix-slow-work", daemon=True).start()
    return await asyncio.wrap_future(future)
