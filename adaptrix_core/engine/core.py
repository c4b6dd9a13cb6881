"""The engine's core: tokens in, tokens out, many adapters in one running batch.

Turns requests into rows, computes steps, and accounts for blocks, slots and pins. Adapters are weights digests here;
names and text are `engine.py`'s. Synchronous, used from one thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor

from adaptrix_core.adapters.residency.loader import DynamicLoader
from adaptrix_core.base.model import BaseModel, BaseModelInfo
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.cache.cut import spans_of
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.cache.prefix import PrefixCache
from adaptrix_core.engine.compute.backend import Backend
from adaptrix_core.engine.compute.runner import Runner, nothing
from adaptrix_core.engine.groups.making import RowMaker
from adaptrix_core.engine.options import EngineOptions
from adaptrix_core.engine.request import FinishReason, GenerationRequest, TokenEvent
from adaptrix_core.engine.request_checks import check_group, check_request, needed_at_once
from adaptrix_core.engine.rows.advance import fail, finish
from adaptrix_core.engine.rows.constraint import Constraint, GrammarCompiler
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.rows.token_bytes import TokenBytes
from adaptrix_core.engine.rows.token_mask import token_mask
from adaptrix_core.engine.scheduling.deadlines import Deadlines
from adaptrix_core.engine.scheduling.scheduler import Batch, Scheduler
from adaptrix_core.engine.settling import Settling, settled_without_trunk
from adaptrix_core.errors import InvalidRequest, RequestNotFound
from adaptrix_core.injection.activation import activated
from adaptrix_core.injection.mix import Mix, MixSchedule, check_mix, constant, placed, switched, weights_digests_of

log = logging.getLogger(__name__)

History = Literal["keep", "recompute"]


class EngineCore:
    """Requests, steps and accounting; `Engine` adds names, text and convenience."""

    def __init__(self, base: BaseModel, backend: Backend, loader: DynamicLoader, options: EngineOptions) -> None:
        self.base = base
        self.loader = loader
        self.options = options
        self._backend = backend
        num_blocks = -(-options.kv_cache_tokens // options.block_size)
        self._cache = KVCache(base, spans_of(base.info.num_layers, options.cut), num_blocks, options.block_size)
        identity = (base.info.digest.encode(), base.layout.encode())
        self.prefixes = PrefixCache(self._cache, identity, loader.layers_of, options.prefix_cache)
        self.scheduler = Scheduler(
            self._cache,
            self.prefixes,
            loader,
            options,
            options.prompt_limits_on(base.device),
            _context_per_token(base.info),
        )
        self._settling = Settling(self._cache, self.prefixes, self.scheduler, self._take_up, self._fail)
        self.runner = Runner(base, self._cache, backend.spans(self._cache))
        self._maker = RowMaker(base, self._cache.empty_tables, self.max_row_tokens)
        self._grammars = GrammarCompiler(base.tokenizer, base.info.vocab_size) if base.tokenizer is not None else None
        self._rows: dict[str, list[Row]] = {}
        self._deadlines = Deadlines()
        self._pins: dict[str, frozenset[WeightsDigest]] = {}
        self.num_steps = 0
        self.in_step = frozenset[str]()
        """Requests whose rows are being computed, for other threads: if the step hangs, one of them is the cause."""
        self.num_step_tokens = 0
        """Tokens of the step that is being computed, or was computed last."""
        self.compute_s = 0.0
        """Seconds spent computing steps."""
        self.num_tokens_generated = 0

    def count_anew(self) -> None:
        """Count steps, tokens and seconds from zero, after a warm-up, which was no user's request."""
        self.num_steps = self.num_tokens_generated = 0
        self.compute_s = 0.0
        self.runner.layer_tokens = [0 for _ in self.runner.layer_tokens]
        self.prefixes.hit_tokens = [0 for _ in self.prefixes.hit_tokens]

    @property
    def max_row_tokens(self) -> int:
        """Longest prompt plus output that one row can have."""
        return min(self.base.info.context_length, self._cache.capacity_tokens)

    @property
    def has_work(self) -> bool:
        """Whether some row is unfinished and waits for nothing but its computation."""
        return bool(self._rows) and not self._settling.all_wait(self._rows)

    @property
    def is_compiling(self) -> bool:
        """Whether layers are being compiled, which a step may have to wait for."""
        compiled = self._backend.compiled
        return compiled is not None and compiled.state == "compiling"

    def add(self, request: GenerationRequest, constraint: Constraint | None = None) -> list[Row]:
        """Accept a request: one row per mix schedule and choice that goes on, its adapters pinned in host memory.

        constraint: what `compile_grammar` made of the request's grammar; made here if None, which may take seconds.

        Raises InvalidRequest, ContextLengthExceeded, CacheFull or Overloaded, and then keeps nothing of it.
        """
        if request.request_id in self._rows:
            raise InvalidRequest(f"request id {request.request_id!r} is in use; choose another", param="request_id")
        check_request(request, self.base.info, self.max_row_tokens)
        if request.shares or request.switches:
            check_group(request, self.base.tokenizer is not None, self._cache.capacity_tokens, self.options.max_rows)
        if request.deferred is not None and not self._settling.has_cut:
            request = settled_without_trunk(request, request.deferred)
        if constraint is None and request.params.grammar is not None:
            constraint = self.compile_grammar(request.params.grammar)
        mask = token_mask(request.params, self.base.eos_token_ids, self.base.tokenizer)
        rows = self._maker.rows(request, constraint, mask)
        if request.is_suspect:
            self.scheduler.quarantine.add([member for row in rows for member in row.together])
        return self._enqueue(request, rows)

    def step(self, meanwhile: Callable[[], None] = nothing) -> list[TokenEvent]:
        """Compute one step; returns its events, in row order. An empty list means that no row could run.

        meanwhile: called when the layers are about to be computed, which does not hold Python's lock: a good moment to
        wake another thread. Not called where no row can run.

        Where a step raises, its rows are computed again in parts, in the next steps, until the one at fault is found:
        that row ends with an error, the others go on.
        """
        batch = self.scheduler.next_batch()
        if batch is None:
            return []
        began = time.perf_counter()
        self.in_step, self.num_step_tokens = batch.request_ids, batch.num_tokens
        try:
            sampled = self.runner.run(batch, meanwhile)
        except Exception as error:  # the row at fault is found before any row is ended
            return self._settle(self._broke(batch, error))
        self.in_step = frozenset()
        self.num_steps += 1
        taken_s = time.perf_counter() - began
        self.compute_s += taken_s
        self.scheduler.backlog.stepped(taken_s, batch.num_tokens, self.scheduler.num_running)
        events = self.scheduler.commit(batch, sampled)
        if self.scheduler.at_cut:
            events += self._settling.settle_at_cut(self._rows)
        return self._settle(events)

    def _broke(self, batch: Batch, error: Exception) -> list[TokenEvent]:
        rows = [chunk.row for chunk in batch.chunks]
        if len(rows) > 1:
            log.warning("a step of %d rows raised %r; they are computed again in parts", len(rows), error)
            self.scheduler.quarantine.halve(rows)
            return []
        log.error("request %s ends with an error", rows[0].request.request_id, exc_info=error)
        return [self._fail(rows[0], error)]

    def end_late(self) -> list[TokenEvent]:
        """End the rows whose deadline has passed, running or waiting, and free what they held."""
        return self._settle(
            [
                self._end(row, "deadline_exceeded", f"the deadline of {row.request.timeout_s:.1f} s has passed")
                for row in self._deadlines.passed()
            ]
        )

    def fail_running(self, error: BaseException) -> list[TokenEvent]:
        """End the rows of a step that could not be planned with an error event.

        Where it failed at planning one row, such as at making its adapters resident, that row alone ends.
        """
        culprit = self.scheduler.planning
        begun = [row for row in self.scheduler.rows if row.started is not None] or self.scheduler.rows
        rows = begun if culprit is None else [culprit]
        return self._settle([self._fail(row, error) for row in dict.fromkeys(row.voice for row in rows)])

    def abort(self, request_id: str) -> list[TokenEvent]:
        """End a request's unfinished rows now; an unknown or finished id is no error and returns no events."""
        return self._settle([self._end(row, "abort") for row in self._unfinished(request_id)])

    def switch_mix(self, request_id: str, mix: Mix, history: History) -> None:
        """Compute a running request's coming tokens under ``mix``.

        ``keep`` leaves keys and values as they were computed: the result equals PEFT's `set_adapter` in mid-generation
        with its cache kept. ``recompute`` computes the whole row again under ``mix``: the result equals a cold run on
        the same tokens. Raises RequestNotFound.
        """
        rows = self._require(request_id)
        if any(row.ensemble is not None for row in rows):
            raise InvalidRequest(f"request {request_id!r} chooses tokens under several mixes; it keeps them")
        check_mix(mix, self.base.info.num_layers)
        self._repin(request_id, weights_digests_of(constant(mix)))
        past = (
            frozenset[WeightsDigest]()
            if history == "recompute"
            else frozenset[WeightsDigest]().union(*(weights_digests_of(r.schedule) for r in rows))
        )
        # A preempted row is recomputed under all of its mixes, so they must fit on the device together.
        self.loader.check_fits(past | weights_digests_of(constant(mix)))
        for row in rows:
            row.deferred = None
            if history == "recompute":
                row.change_schedule(self._activated(constant(mix), row.request), kept_blocks=0)
                self.scheduler.reset(row)
            else:
                self._switch_from_here(row, mix)

    def ask_again(self, request_id: str) -> list[TokenEvent]:
        """Ask the policy of a request that waits for its mix once more; returns the events of rows that end by it.

        Nothing happens to a request that is settled, has ended, or has not come to the cut yet.
        """
        waiting = [row for row in self._unfinished(request_id) if row.waits_for_mix]
        self.scheduler.at_cut += waiting[:1]
        return self._settle(self._settling.settle_at_cut(self._rows))

    def _take_up(self, request: GenerationRequest, mix: Mix) -> MixSchedule:
        """Pin a mix that was settled at the cut; returns it as the request's schedule."""
        check_mix(mix, self.base.info.num_layers, param="adaptrix.mix")
        digests = weights_digests_of(constant(mix))
        self._repin(request.request_id, digests)
        self.loader.check_fits(digests.union(*needed_at_once(request)))
        return self._activated(constant(mix), request)

    def _unfinished(self, request_id: str) -> list[Row]:
        return [row for row in self._rows.get(request_id, ()) if row.finish_reason is None]

    def _require(self, request_id: str) -> list[Row]:
        rows = self._unfinished(request_id)
        if not rows:
            raise RequestNotFound(f"no running request {request_id!r}; it may have ended")
        return rows

    def _switch_from_here(self, row: Row, mix: Mix) -> None:
        settled = row.num_settled
        schedule = self._activated(switched(row.schedule, settled, mix), row.request)
        row.change_schedule(schedule, kept_blocks=settled // self.options.block_size)
        if row.computed[0] > settled:  # the trunk is ahead, under a mix that may have acted there
            self.scheduler.reset(row)
        else:
            self.scheduler.release_adapters(row)

    def _switch_by_itself(self, row: Row, number: int) -> None:
        if row.switching is not None:
            self._switch_from_here(row, row.switching.mix(number))

    def check_integrity(self) -> list[str]:
        """Faults in the accounting of blocks, slots and pins; an empty list is good. Meant for idle moments."""
        faults = self.scheduler.check_integrity()
        known = {id(row) for row in self.scheduler.rows}
        faults += [
            f"request {i}: an unfinished row is in no queue"
            for i, rows in self._rows.items()
            if any(row.finish_reason is None and id(row) not in known for row in rows)
        ]
        if set(self._pins) != set(self._rows):
            faults.append(f"pins are held for {len(self._pins)} requests, {len(self._rows)} are running")
        return faults

    def prompt_logits(self, prompts: Iterable[GenerationRequest], chunk_limit: int | None) -> list[Tensor]:
        """Logits of every prompt token, ``(tokens, vocab)`` float32 each, computed the way serving computes them.

        The requests ask for no tokens (``max_tokens`` 0).
        """
        rows: list[Row] = []
        try:
            for request in prompts:
                check_request(request, self.base.info, self.max_row_tokens)
                row = self._maker.row(request, 0, 0)
                row.chunk_limit, row.prompt_logits = chunk_limit, []
                rows += self._enqueue(request, [row])
            while any(row.finish_reason is None for row in rows):
                raise_failure(self.step())
        finally:
            for row in rows:
                self.abort(row.request.request_id)
        return [torch.cat(row.prompt_logits or []) for row in rows]

    def _enqueue(self, request: GenerationRequest, rows: list[Row]) -> list[Row]:
        needed = needed_at_once(request)
        self._repin(request.request_id, frozenset[WeightsDigest]().union(*needed))
        try:
            for digests in needed:
                self.loader.check_fits(digests)
            members = [member for row in rows for member in row.together]
            for member in members:
                member.schedule = self._activated(member.schedule, request)
            self.scheduler.enqueue(members)
        except Exception:
            self._unpin(request.request_id)
            raise
        self._rows[request.request_id] = rows
        self._deadlines.add(rows)
        return rows

    def prepare_grammars(self) -> None:
        """Build the grammar tables, for which the first request with a grammar, and every row beside it, would wait."""
        if self._grammars is not None:
            self._grammars.build_tables()

    def token_bytes(self) -> TokenBytes | None:
        """The vocabulary as bytes; None without a tokenizer. Builds the grammar tables if they are not built yet."""
        if self._grammars is None or self.base.tokenizer is None:
            return None
        return TokenBytes(self.base.tokenizer, self._grammars.build_tables())

    def compile_grammar(self, grammar: str) -> Constraint:
        """A grammar in the form that `add` takes; from any thread. Raises InvalidRequest, see `GrammarCompiler`."""
        if self._grammars is None:
            raise InvalidRequest(
                "this base model has no tokenizer, so no grammar can be applied", param="response_format"
            )
        return self._grammars.compile(grammar)

    def _activated(self, schedule: MixSchedule, request: GenerationRequest) -> MixSchedule:
        in_numbers = placed(schedule, self.base.info.num_layers)
        return activated(in_numbers, request.prompt_token_ids, self.loader.invocation_of)

    def _end(self, row: Row, reason: FinishReason, error: str | None = None) -> TokenEvent:
        self.scheduler.remove(row)
        return finish(row, reason, error)

    def _fail(self, row: Row, error: BaseException) -> TokenEvent:
        self.scheduler.remove(row)
        return fail(row.voice, error)

    def _settle(self, events: list[TokenEvent]) -> list[TokenEvent]:
        """Forget requests whose last row has ended, and unpin their adapters."""
        for event in events:
            self.num_tokens_generated += event.token_id is not None
            rows = self._rows.get(event.request_id, ())
            if event.switched_to is not None:
                self._switch_by_itself(next(row for row in rows if row.index == event.index), event.switched_to)
            if event.finish_reason is not None and all(row.finish_reason is not None for row in rows):
                self._rows.pop(event.request_id, None)
                self._unpin(event.request_id)
        return events

    def _repin(self, request_id: str, weights_digests: frozenset[WeightsDigest]) -> None:
        """Pin further adapters for a request. Those pinned before stay: its past tokens may need them again."""
        held = self._pins.get(request_id, frozenset())
        pinned: list[WeightsDigest] = []
        try:
            for digest in weights_digests - held:
                self.loader.pin(digest)
                pinned.append(digest)
        except Exception:
            for digest in pinned:
                self.loader.unpin(digest)
            raise
        self._pins[request_id] = held | weights_digests

    def _unpin(self, request_id: str) -> None:
        for digest in self._pins.pop(request_id, frozenset()):
            self.loader.unpin(digest)


def raise_failure(events: Iterable[TokenEvent]) -> None:
    """Raise the error that some row failed with, for callers that want all rows or none."""
    for event in events:
        if event.failure is not None:
            raise event.failure


def _context_per_token(info: BaseModelInfo) -> int:
    """Tokens of context that cost as much to attend to as one token's matrix products.

    These are 2 operations per parameter; a context token costs 4 (a product with its key, one with its value) per layer
    and element of a query.
    """
    return max(1, info.num_parameters // (2 * info.num_layers * info.num_heads * info.head_dim))
