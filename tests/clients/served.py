"""One server for all clients: the default base model behind real HTTP on a loopback port, with keys.

It runs on a thread with an event loop of its own, so that clients may block, and other processes may call it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptrix_core.routing.embedder import TextEmbedder
from deployments.callers.key_file import hash_key, new_key
from tests.serving.inprocess import application, listening

MODEL = "smollm2-135m"
START_TIMEOUT_S = 240.0
STOP_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Served:
    """Where a client finds the server."""

    url: str
    """Without ``/v1``."""
    key: str
    model: str = MODEL
    tool_model: str = "tool_use"
    """The adapter that calls functions by itself."""

    @property
    def base_url(self) -> str:
        """As OpenAI's clients want it."""
        return f"{self.url}/v1"


@contextmanager
def served(root: Path, embedder: TextEmbedder | None = None, **sections: Mapping[str, object]) -> Iterator[Served]:
    """A running server whose state is kept below ``root``; keyword arguments are sections of its settings."""
    key, keys = new_key(), root / "keys.json"
    record = {"id": "clients", "sha256": hash_key(key), "tenant": "clients", "scopes": ["generate"]}
    keys.write_text(json.dumps({"keys": [record]}))
    args = {"adapters": {"state_dir": str(root / "state")}, **sections}
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="served", daemon=True)
    thread.start()

    def waited(work: Coroutine[Any, Any, str | None], timeout_s: float) -> str | None:
        return asyncio.run_coroutine_threadsafe(work, loop).result(timeout_s)

    stack = _Running(args, embedder, keys)
    try:
        url = waited(stack.start(), START_TIMEOUT_S)
        assert url is not None
        yield Served(url, key)
    finally:
        waited(stack.stop(), STOP_TIMEOUT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_TIMEOUT_S)
        loop.close()


class _Running:
    """The application and its socket, from start to stop, inside one task: contexts of asyncio end where they began."""

    def __init__(self, args: Mapping[str, object], embedder: TextEmbedder | None, keys: Path) -> None:
        self._args, self._embedder, self._keys = args, embedder, keys
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> str:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(ready))
        await asyncio.wait([ready, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await self._task
        return ready.result()

    async def _run(self, ready: asyncio.Future[str]) -> None:
        async with application(self._args, self._embedder, self._keys) as (app, _), listening(app) as url:
            ready.set_result(url)
            await self._over.wait()

    async def stop(self) -> None:
        self._over.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
