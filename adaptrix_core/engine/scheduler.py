"""Which rows run in the next step, and with which tokens.

Rows join and leave between steps. A step has a token budget; decoding rows come first, so a long prompt is computed in
chunks beside them. A row runs while it holds both KV blocks and device slots; when blocks run out, the row that joined
last gives both back and is recomputed later under the same mix schedule. Engine thread only.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from adaptrix_core.engine.advance import advance
from adaptrix_core.engine.kv_cache import KVCache
from adaptrix_core.engine.prefix import PrefixCache
from adaptrix_core.engine.request import TokenEvent
from adaptrix_core.engine.row import Row
from adaptrix_core.engine.sampler import Sampled
from adaptrix_core.errors import InvalidRequest, Overloaded


class AdapterSlots(Protocol):
    """Device residency of adapters, all or nothing (`DynamicLoader` in `adapters/loader.py`)."""

    def acquire_slots(self, digests: Iterable[str]) -> bool:
        """Make all of them resident and keep them so; False, holding nothing, if there is no room now."""

    def release_slots(self, digests: Iterable[str]) -> None:
        """Undo one `acquire_slots`."""


@dataclass(frozen=True)
class Chunk:
    """Tokens ``start … start + count`` of one row, computed in one step."""

    row: Row
    start: int
    count: int

    @property
    def reaches_end(self) -> bool:
        """Whether the row's next token can be sampled after this chunk."""
        return self.start + self.count == len(self.row.tokens)


@dataclass(frozen=True)
class Batch:
    """The work of one step."""

    chunks: tuple[Chunk, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens computed."""
        return sum(chunk.count for chunk in self.chunks)


class Scheduler:
    """Owns the queues of waiting and running rows."""

    def __init__(
        self,
        cache: KVCache,
        prefixes: PrefixCache,
        slots: AdapterSlots,
        max_rows: int,
        max_batch_tokens: int,
        max_waiting: int,
        eos_token_ids: frozenset[int],
    ) -> None:
        self._cache = cache
        self._prefixes = prefixes
        self._slots = slots
        self._max_rows = max_rows
        self._max_batch_tokens = max_batch_tokens
        self._max_waiting = max_waiting
        self._eos_token_ids = eos_token_ids
        self._waiting: deque[Row] = deque()
        self._running: list[Row] = []
        self.num_preemptions = 0

    @property
    def rows(self) -> list[Row]:
        """Every unfinished row."""
        return [*self._running, *self._waiting]

    @property
    def num_running(self) -> int:
        """Rows that hold blocks."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """Rows that hold nothing."""
        return len(self._waiting)

    def add(self, rows: Sequence[Row]) -> None:
        """Queue the rows of a request, all or none.

        Raises Overloaded when the queue is full, InvalidRequest for a request that an empty queue could not hold.
        """
        if len(rows) > self._max_waiting:
            raise InvalidRequest(
                f"the request makes {len(rows)} rows (n choices of each fork) and the queue holds {self._max_waiting}; "
                "ask for fewer, or raise engine.max_queue in the settings",
                param="n",
            )
        if len(self._waiting) + len(rows) > self._max_waiting:
            raise Overloaded(
                f"{len(self._waiting)} rows wait and the queue holds {self._max_waiting}; "
                f"{len(rows)} more do not fit: try again later, or raise engine.max_queue in the settings"
            )
        self._waiting.extend(rows)

    def next_batch(self) -> Batch | None:
        """The next step's work, or None when no row can run."""
        budget, preemptions_before = self._max_batch_tokens, self.num_preemptions
        chunks: list[Chunk] = []
        for row in sorted(self._running, key=lambda r: r.num_uncomputed > 1):
            if budget == 0:
                break
            if row in self._running and self._hold(row):
                budget = self._take(row, budget, chunks)
        while budget > 0 and len(self._running) < self._max_rows:
            if self.num_preemptions > preemptions_before:
                break  # what was just taken back is not handed out again in the same step
            ready = next((row for row in self._waiting if row.is_ready), None)
            if ready is None or not self._admit(ready, budget):
                break
            self._waiting.remove(ready)
            self._running.append(ready)
            budget = self._take(ready, budget, chunks)
        live = tuple(chunk for chunk in chunks if chunk.row in self._running)
        return Batch(live) if live else None

    def commit(self, batch: Batch, sampled: Sequence[Sampled | None]) -> list[TokenEvent]:
        """Record a step's outcome; rows that ended leave and free what they held."""
        events = []
        for chunk, result in zip(batch.chunks, sampled, strict=True):
            end = chunk.start + chunk.count
            chunk.row.computed = [max(computed, end) for computed in chunk.row.computed]
            self._prefixes.name_new(chunk.row)
            event = advance(chunk.row, result, self._eos_token_ids)
            if event is not None:
                events.append(event)
            if chunk.row.finish_reason is not None:
                self.remove(chunk.row)
        return events

    def remove(self, row: Row) -> None:
        """Take a row out of its queue and free what it holds (idempotent)."""
        self._free(row)
        if row in self._running:
            self._running.remove(row)
        elif row in self._waiting:
            self._waiting.remove(row)

    def reset(self, row: Row) -> None:
        """Make a row compute all its tokens again: free what it holds and put it first in the queue."""
        self.remove(row)
        row.restart()
        self._waiting.appendleft(row)

    def release_adapters(self, row: Row) -> None:
        """Let go of a row's device slots; it acquires what it then needs before its next step."""
        if row.held_slots is not None:
            self._slots.release_slots(row.held_slots)
            row.held_slots = None

    def check_integrity(self) -> list[str]:
        """Faults in the accounting of blocks and slots; an empty list is good."""
        faults = self._cache.check_integrity(row.tables for row in self._running)
        faults += [f"waiting row {r.request.request_id} holds blocks" for r in self._waiting if any(r.tables)]
        faults += [f"waiting row {r.request.request_id} holds slots" for r in self._waiting if r.held_slots is not None]
        return faults

    def _take(self, row: Row, budget: int, chunks: list[Chunk]) -> int:
        """Plan a chunk for a running row; returns the budget left."""
        count = min(row.num_uncomputed, budget, self._limit(row))
        while not self._cache.extend(row.tables, row.num_computed + count):
            victim = self._running[-1]
            self._preempt(victim)
            if victim is row:
                return budget
        chunks.append(Chunk(row, row.num_computed, count))
        return budget - count

    def _limit(self, row: Row) -> int:
        return min(row.num_uncomputed, row.chunk_limit or row.num_uncomputed)

    def _admit(self, row: Row, budget: int) -> bool:
        """Give a waiting row slots, and blocks for a first chunk, its own and those it takes over; all or nothing."""
        if not self._hold(row):
            return False
        self._prefixes.attach(row)
        if not self._cache.extend(row.tables, row.num_computed + min(budget, self._limit(row))):
            self._free(row)
            row.restart()
            return False
        self._prefixes.count_hits(row)
        if row.started is None:
            row.started = time.perf_counter()
        return True

    def _hold(self, row: Row) -> bool:
        """Make the adapters of the row's coming tokens resident; a running row that cannot be served waits again."""
        if row.held_slots is not None:
            return True
        needed = row.needed_adapters
        try:
            acquired = self._slots.acquire_slots(needed)
        except Exception as error:
            error.row = row  # type: ignore[attr-defined]  # its own failure, and no other row's (`fail_running`)
            raise
        if acquired:
            row.held_slots = needed
            return True
        if row in self._running:
            self._preempt(row)
        return False

    def _preempt(self, row: Row) -> None:
        self.num_preemptions += 1
        self.reset(row)

    def _free(self, row: Row) -> None:
        self._cache.release(row.tables)
        self.release_adapters(row)
