"""Chooses the rows of the next step, and the tokens of each.

Rows join and leave between steps (continuous batching). Every decoding row gets its token first. Prompts of running and
waiting rows follow, in the order of `waiting.py`, within a budget that keeps the decoding streams flowing
(`prompt_budget.py`). A row runs while it holds both KV blocks and device slots; when blocks run out, the least urgent
row, the last to join among equals, is preempted: it gives both back and is recomputed later under the same mix
schedule. Engine thread only.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.cache.prefix import PrefixCache
from adaptrix_core.engine.options import EngineOptions
from adaptrix_core.engine.request import TokenEvent
from adaptrix_core.engine.rows.advance import advance, fail
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.rows.sampler import Sampled, Unsampled
from adaptrix_core.engine.scheduling.admission import Admission
from adaptrix_core.engine.scheduling.backlog import Backlog
from adaptrix_core.engine.scheduling.prompt_budget import PromptBudget, PromptLimits
from adaptrix_core.engine.scheduling.quarantine import Quarantine
from adaptrix_core.engine.scheduling.waiting import WaitingRows
from adaptrix_core.injection.mix import weights_digests_of


class AdapterSlots(Protocol):
    """Device residency of adapters, all or nothing (`DynamicLoader` in `adapters/residency/loader.py`)."""

    def acquire_slots(self, weights_digests: Iterable[WeightsDigest]) -> bool:
        """Make all of them resident and hold them; False, holding none, if there is no room now."""

    def release_slots(self, weights_digests: Iterable[WeightsDigest]) -> None:
        """Undo one `acquire_slots`."""


@dataclass(frozen=True)
class Chunk:
    """Tokens ``start … start + count`` of one row, computed in one step."""

    row: Row
    start: int
    count: int
    in_trunk: bool = False
    """Whether it is computed below the cut only, as the row's mix is not settled."""

    @property
    def reaches_end(self) -> bool:
        """Whether the row's next token can be sampled after this chunk."""
        return self.start + self.count == len(self.row.tokens) and not self.in_trunk


@dataclass(frozen=True)
class Batch:
    """The work of one step."""

    chunks: tuple[Chunk, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens computed."""
        return sum(chunk.count for chunk in self.chunks)

    @property
    def request_ids(self) -> frozenset[str]:
        """Requests that have a chunk in the step."""
        return frozenset(chunk.row.request.request_id for chunk in self.chunks)


class Scheduler:
    """Owns the queues of waiting and running rows."""

    def __init__(
        self,
        cache: KVCache,
        prefixes: PrefixCache,
        slots: AdapterSlots,
        options: EngineOptions,
        prompts: PromptLimits,
        context_per_token: int,
    ) -> None:
        """context_per_token: tokens of context that cost as much to attend to as one token's matrix products."""
        self._cache = cache
        self._prefixes = prefixes
        self._slots = slots
        self._max_rows = options.max_rows
        self._prompts = prompts
        self._context_per_token = context_per_token
        self._waiting = WaitingRows()
        self._running: list[Row] = []
        self.backlog = Backlog(options.max_rows)
        self._admission = Admission(self.backlog, options.max_queue, options.max_wait_s)
        self.num_preemptions = 0
        self.quarantine = Quarantine()
        self.at_cut: list[Row] = []
        """Rows whose trunk has just been computed and whose mix is to be settled before the next step."""
        self.planning: Row | None = None
        """The row being planned; after a step that failed at planning, the row at fault."""

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

    @property
    def num_waiting_adapter(self) -> int:
        """Rows that hold blocks and wait for their mix."""
        return sum(row.waits_for_mix for row in self._running)

    def rows_by_adapter(self) -> dict[WeightsDigest, tuple[int, int]]:
        """(running, waiting) rows under each adapter, by weights digest."""
        running, waiting = (
            Counter(digest for row in rows for digest in weights_digests_of(row.schedule))
            for rows in (self._running, self._waiting)
        )
        return {digest: (running[digest], waiting[digest]) for digest in {*running, *waiting}}

    @property
    def backlog_tokens(self) -> int:
        """Tokens promised and not computed yet: those of prompts, and of answers up to their limits."""
        return sum(row.num_pending for row in self.rows)

    @property
    def longest_wait_s(self) -> float:
        """Seconds since the arrival of the oldest row that has not begun; 0.0 without one."""
        arrivals = [row.arrived for row in self._waiting if row.started is None]
        return time.perf_counter() - min(arrivals) if arrivals else 0.0

    def enqueue(self, rows: Sequence[Row]) -> None:
        """Queue the rows of a request, all or none.

        Raises what `Admission.check` raises.
        """
        self._admission.check(rows, self._running, self._waiting)
        for row in rows:
            self._waiting.add(row)

    def next_batch(self) -> Batch | None:
        """The next step's work, or None when no row can run."""
        preemptions_before = self.num_preemptions
        chunks: list[Chunk] = []
        for row in [row for row in self._running if row.is_decoding][: self._prompts.max_batch_tokens]:
            if row in self._running:
                self._continue(row, 1, chunks)
        is_short = self._fill(PromptBudget(self._prompts, len(chunks)), chunks, preemptions_before)
        self.planning = None
        self.backlog.planned(len(self._running), is_short)
        live = [chunk for chunk in chunks if chunk.row in self._running]
        return Batch(tuple(sorted(self.quarantine.apart(live), key=lambda chunk: chunk.row.number))) if live else None

    def commit(self, batch: Batch, sampled: Sequence[Sampled | Unsampled | None]) -> list[TokenEvent]:
        """Record a step's outcome; rows that ended leave and free what they held. A fault of one row ends it alone."""
        events = []
        together: list[tuple[Row, Sampled | Unsampled]] = []
        self.quarantine.passed(batch.chunks)
        for chunk, result in zip(batch.chunks, sampled, strict=True):
            try:
                event = self._settle(chunk, result)
                if chunk.row.ensemble is not None:
                    if result is not None:
                        together.append((chunk.row.voice, result))
                    continue
            except Exception as error:  # of this row's text or grammar; the other rows are not concerned
                event = fail(chunk.row, error)
            if event is not None:
                events.append(event)
            if chunk.row.finish_reason is not None:
                self.backlog.ended(chunk.row)
                self.remove(chunk.row)
        return [*events, *(self._advance_together(voice, result) for voice, result in together)]

    def _advance_together(self, voice: Row, result: Sampled | Unsampled) -> TokenEvent:
        """Record the token that the rows of an ensemble have chosen; they end together."""
        assert voice.ensemble is not None
        voice.ensemble.forget()
        try:
            event = advance(voice, result)
            assert event is not None
        except Exception as error:  # of this answer's text or grammar
            event = fail(voice, error)
        if event.token_id is not None:
            for member in voice.ensemble.members[1:]:
                member.append(event.token_id)
        if voice.finish_reason is not None:
            self.backlog.ended(voice)
            self.remove(voice)
        return event

    def _settle(self, chunk: Chunk, result: Sampled | Unsampled | None) -> TokenEvent | None:
        row, end = chunk.row, chunk.start + chunk.count
        if chunk.in_trunk:
            self._settle_trunk(row, end)
            return None
        row.computed = [max(computed, end) for computed in row.computed]
        if not isinstance(result, Unsampled):  # blocks that led to no token are not for other rows to take over
            self._prefixes.name_new(row)
        return advance(row, result) if row.ensemble is None else None

    def _settle_trunk(self, row: Row, end: int) -> None:
        row.computed[:-1] = [end for _ in row.computed[:-1]]
        self._prefixes.name_new(row)
        if row.waits_for_mix:
            self.at_cut.append(row)

    def remove(self, row: Row) -> None:
        """Take a row, with its ensemble, out of its queue and free what it holds (idempotent)."""
        for member in row.together:
            self._free(member)
            if member in self._running:
                self._running.remove(member)
            elif member in self._waiting:
                self._waiting.remove(member)

    def reset(self, row: Row) -> None:
        """Make a row, with its ensemble, compute all its tokens again: free what it holds, let it wait in its place."""
        self.remove(row)
        if row.ensemble is not None:
            row.ensemble.forget()
        for member in row.together:
            member.restart()
            self._waiting.add(member)

    def release_adapters(self, row: Row) -> None:
        """Release a row's device slots; before its next step it acquires those that it then needs."""
        if row.held_slots is not None:
            self._slots.release_slots(row.held_slots)
            row.held_slots = None

    def check_integrity(self) -> list[str]:
        """Faults in the accounting of blocks and slots; an empty list is good."""
        faults = self._cache.check_integrity(row.tables for row in self._running)
        faults += [f"waiting row {r.request.request_id} holds blocks" for r in self._waiting if any(r.tables)]
        faults += [f"waiting row {r.request.request_id} holds slots" for r in self._waiting if r.held_slots is not None]
        return faults

    def _fill(self, budget: PromptBudget, chunks: list[Chunk], preemptions_before: int) -> bool:
        """Plan the prompts of running and waiting rows, and rows that are recomputed, until ``budget`` is spent.

        Beside decoding rows, a token with much context counts for more than one. Returns whether rows wait because
        blocks or slots are short.
        """
        running = [row for row in self._running if not (row.is_decoding or row.waits_for_others)]
        without_slots: list[Row] = []
        admitting, is_short, mixed = True, False, bool(chunks)
        while True:
            candidates = [row for row in running if row in self._running]
            # Blocks that a preemption has just freed are not given out again in the same step.
            if admitting and self.num_preemptions == preemptions_before and self._has_place(self._waiting.top_priority):
                candidates += [row for row in self._waiting.heads() if row not in without_slots]
            row = min(candidates, key=self._waiting.rank, default=None)
            joins = row is not None and (row not in running or _joins_branch(row))
            if row is None or (not budget.may_join(row.num_uncomputed) if joins else budget.is_spent):
                break
            if row in running:
                running.remove(row)
                room = budget.room_to_join(row.num_uncomputed) if joins else budget.room
                if joins:
                    budget.join(row.num_uncomputed)
                self._prefill(row, budget, room, mixed, chunks)
            elif not self._has_place(row.priority):
                admitting = False
            elif not self._hold(row):
                without_slots.append(row)
                is_short = True
                admitting = row.num_overtaken < self._max_rows
            elif self._admit(row):
                for other in without_slots:
                    other.num_overtaken += 1
                budget.join(row.num_uncomputed)
                self._prefill(row, budget, budget.room_to_join(row.num_uncomputed), mixed, chunks)
            else:
                admitting, is_short = False, True
        return is_short or self.num_preemptions > preemptions_before

    def _prefill(self, row: Row, budget: PromptBudget, room: float, mixed: bool, chunks: list[Chunk]) -> None:
        """Plan a chunk of a row that counts for at most ``room`` tokens, or a single token."""
        weight = 1 + row.num_computed / self._context_per_token if mixed else 1.0
        count = self._continue(row, max(1, int(room / weight)), chunks)
        budget.spend(count, weight * count)

    def _continue(self, row: Row, room: int, chunks: list[Chunk]) -> int:
        """Plan a chunk of at most ``room`` tokens for a running row; returns its tokens, 0 if the row waits again."""
        if not self._hold(row):
            self._preempt(row)
            return 0
        if row.ensemble is not None and not any(row.tables):  # its ensemble joined before its prompt was computed
            self._prefixes.attach(row)
            self._prefixes.count_hits(row)
        count = min(row.num_uncomputed, room, row.chunk_limit or room)
        while not self._cache.extend(row.tables, row.num_computed + count):
            victim = self._least_urgent()
            self._preempt(victim)
            if victim in row.together:
                return 0
        if not row.enters_branch or row.num_output:  # else these tokens were charged when the trunk computed them
            self._waiting.charge(row, count)
        chunks.append(Chunk(row, row.num_computed, count, in_trunk=row.deferred is not None))
        return count

    def _has_place(self, priority: int | None) -> bool:
        """Whether a waiting row of this priority could join: a place is free, or a less urgent row has one."""
        if priority is None:
            return False
        return len(self._running) < self._max_rows or self._least_urgent().priority > priority

    def _admit(self, row: Row) -> bool:
        """Let a row that holds its slots join, with blocks for all tokens it has; less urgent rows give way."""
        while len(self._running) + len(row.together) > self._max_rows or not self._attach(row):
            victim = self._least_urgent() if self._running else row
            if victim.priority <= row.priority:
                for member in row.together:
                    self.release_adapters(member)
                return False
            self._preempt(victim)
        for member in row.together:
            self._waiting.remove(member)
            self._running.append(member)
            if member.started is None:
                member.started = time.perf_counter()
        self._prefixes.count_hits(row)
        return True

    def _attach(self, row: Row) -> bool:
        """Take over blocks that match and take the missing ones, all or none: half a prompt would only block others."""
        self._prefixes.attach(row)
        if self._cache.extend(row.tables, len(row.tokens)):
            return True
        self._cache.release(row.tables)
        row.restart()
        return False

    def _hold(self, row: Row) -> bool:
        """Make the adapters of the coming tokens resident, all of an ensemble's or none, if there is room now."""
        self.planning = row
        if row.ensemble is None:
            return self._hold_alone(row)
        if all(self._hold_alone(member) for member in row.together):
            return True
        for member in row.together:
            self.release_adapters(member)
        return False

    def _hold_alone(self, row: Row) -> bool:
        if row.held_slots is None:
            needed = row.needed_adapters
            began = time.perf_counter()
            if not self._slots.acquire_slots(needed):
                return False
            row.held_slots = needed
            if row.started is None and needed:
                row.load_s = time.perf_counter() - began
        return True

    def _least_urgent(self) -> Row:
        """The running row that is preempted first: the least urgent, among equals the one that joined last."""
        return max(reversed(self._running), key=lambda row: row.priority)

    def _preempt(self, row: Row) -> None:
        self.num_preemptions += 1
        row.num_preemptions += 1
        self.reset(row)

    def _free(self, row: Row) -> None:
        self._cache.release(row.tables)
        self.release_adapters(row)


def _joins_branch(row: Row) -> bool:
    """Whether a running row begins its prompt's branch, for which it gets the room that a prompt has when it joins."""
    return row.enters_branch and row.num_output == 0
