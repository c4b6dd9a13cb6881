"""Runs texts through the trunk of an engine for the means of their states at the cut, behind every request.

Each text becomes the user's only turn. Only the trunk is computed of it, by the kernels that compute requests, at the
lowest priority, so that no stream stops for it. Knows engines; does not know what the means are used for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from cachetools import LRUCache

from adaptrix_core.base.question_tokens import question_ranges
from adaptrix_core.engine import Engine, EngineLoop, GenerationRequest, SamplingParams
from adaptrix_core.engine.deferred import Deferred, Means
from adaptrix_core.engine.mailbox import Mailbox
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import SAMPLING_RANGES
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.trunk.cached_means import CachedMeans

AT_ONCE = 4
"""Texts in the engine's queue at a time: enough for a full step, few enough that requests find room in the queue."""
REMEMBERED = 8192
"""Texts whose means `reader_of` keeps in memory, the recently used ones (LRU)."""
SALT = b"routing examples"
"""Keeps their blocks apart from those of tenants."""

_numbers = itertools.count()


def trunk_means(engine: Engine, texts: Sequence[str]) -> Vectors:
    """Mean state at the cut over each text's tokens, ``(texts, hidden)``. Raises InvalidRequest as `_Reading`.

    For an engine that the calling thread drives; running requests go on meanwhile.
    """
    readings = [_Reading(engine, text) for text in texts]
    for reading in readings:
        engine.add(reading.request)
        try:
            while reading.means is None:
                engine.go_on()
        finally:
            engine.abort(reading.request.request_id)
    return _stacked(readings)


async def trunk_means_beside(loop: EngineLoop, texts: Sequence[str]) -> Vectors:
    """`trunk_means` for an engine on a thread of its own."""
    limit = asyncio.Semaphore(AT_ONCE)
    readings = await asyncio.to_thread(lambda: [_Reading(loop.engine, text) for text in texts])

    async def read(reading: _Reading) -> None:
        async with limit:
            with reading.told() as told:
                mailbox = Mailbox()
                async with loop.running(reading.request, mailbox):
                    ended = asyncio.ensure_future(mailbox.take())
                    done, _ = await asyncio.wait((told, ended), return_when=asyncio.FIRST_COMPLETED)
                    ended.cancel()
                    if told not in done:
                        raise InvalidRequest(f"a routing example could not be read: {ended.result()[0].error}")

    await asyncio.gather(*map(read, readings))
    return _stacked(readings)


async def kept_means_beside(loop: EngineLoop, kept: CachedMeans, texts: Sequence[str]) -> Vectors:
    """The means of these texts, from ``kept`` where they are there; else `trunk_means_beside`, and kept."""
    means = await asyncio.to_thread(kept.find, texts)
    if means is None:
        means = await trunk_means_beside(loop, texts)
        await asyncio.to_thread(kept.keep, texts, means)
    return means


class _Reading:
    """One text on its way through the trunk."""

    def __init__(self, engine: Engine, text: str) -> None:
        """Raises InvalidRequest where the text's place in the prompt is not known, or there is no cut."""
        if engine.options.cut is None:
            raise InvalidRequest("this engine has no cut, so its trunk tells nothing of a text; set engine.cut")
        messages = [{"role": "user", "content": text}]
        token_ids = engine.encode(messages)
        ranges = question_ranges(engine.base, messages, token_ids, turns=1)
        if not ranges:
            raise InvalidRequest("the chat template does not tell where a message stands in the prompt")
        room = engine.max_row_tokens - 1
        if len(token_ids) > room:  # a description of pages: its beginning
            token_ids, ranges = token_ids[:room], tuple((start, min(stop, room)) for start, stop in ranges)
        self.means: Means | None = None
        self._told: asyncio.Future[None] | None = None
        self.request = GenerationRequest(
            f"routing-example-{next(_numbers)}",
            token_ids,
            SamplingParams(max_tokens=1),
            salt=SALT,
            priority=int(SAMPLING_RANGES["priority"].high),
            deferred=Deferred(ranges, self._note),
        )

    @contextmanager
    def told(self) -> Iterator[asyncio.Future[None]]:
        """A future of the running event loop that is done once the means are there."""
        self._told = asyncio.get_running_loop().create_future()
        yield self._told

    def _note(self, means: Means | None) -> None:
        if means is None:
            raise InvalidRequest("the base model's states are not finite")
        self.means = means
        if self._told is not None:
            self._told.get_loop().call_soon_threadsafe(_done, self._told)
        return None


def _done(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)


def _stacked(readings: Sequence[_Reading]) -> Vectors:
    return np.concatenate([reading.means for reading in readings if reading.means is not None])


def reader_of(engine: Engine, directory: Path | None = None) -> Callable[[Sequence[str]], Vectors]:
    """`trunk_means` of an engine that the calling thread drives, each text read once, lists of them once for all runs.

    directory: as in `CachedMeans`.
    """
    kept = CachedMeans(engine, directory)
    known: LRUCache[str, Vectors] = LRUCache(REMEMBERED)

    def read(texts: Sequence[str]) -> Vectors:
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            means = kept.find(missing)
            if means is None:
                means = trunk_means(engine, missing)
                if len(missing) > 1:
                    kept.keep(missing, means)
            known.update(zip(missing, means, strict=True))
        return np.stack([known[text] for text in texts])

    return read
