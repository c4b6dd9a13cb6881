"""The engine side of a replica: an engine on its own thread and the packages it holds, without Ray.

Thin: prompts become token ids, bundle digests become mixes, token events become pieces. Model work is the engine's.
Importing this module loads torch, so only a replica does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import torch

from adaptrix_core.adapters.trust.revocation_lease import RevocationLease
from adaptrix_core.config import Settings
from adaptrix_core.digests import BundleDigest, WeightsDigest
from adaptrix_core.engine import Engine, EngineLoop, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.build import build_engine
from adaptrix_core.engine.mailbox import Mailbox
from adaptrix_core.engine.request import RowProgress, Timings
from adaptrix_core.engine.rows.constraint import json_grammar
from adaptrix_core.engine.rows.sampler import as_row_error
from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.errors import ContextLengthExceeded, EngineStopped, InvalidRequest
from adaptrix_core.injection.mix import constant
from adaptrix_core.observe.tracing import Tracing
from adaptrix_core.sampling import explained
from deployments.replica.packages.holdings import Fetch, Holdings
from deployments.replica.scratch_directory import ScratchDirectory
from deployments.replica.token_pacing import TokenPacing
from deployments.replica.token_text import TokenTexts
from deployments.replica.trace_spans import CallSpans
from deployments.shared.model_ids import public_id
from deployments.shared.wire import AdapterNumbers, GenerateCall, Holding, Piece, Report, RowTimes

QUICK_CHARACTERS = 1000
"""Text up to here is encoded where it is, in some tenths of a millisecond; longer text must not hold up the streams."""

PROBE_CHARACTERS = 8
"""Characters by token of the context in the beginning of a long text that is encoded first. Most texts have 3 to 5."""
TEXTS_WAITING = 256
"""Long texts of one tenant that may wait to be encoded."""

TEMPLATE_CHARACTERS = 40


class EngineWorker:
    """Serves `GenerateCall`s. Everything but the engine's own thread runs in one event loop."""

    def __init__(self, settings: Settings, fetch: Fetch, tracing: Tracing, threads: int | None = None) -> None:
        """Load the base model and start the engine, on so many CPU threads; takes seconds."""
        if threads is not None:
            torch.set_num_threads(threads)
        self._tracing = tracing
        self._encoding = TenantQueue("texts", threads=4, at_once=2, max_waiting=TEXTS_WAITING)
        self._pace = TokenPacing(settings.replicas.messages_per_s)
        self._scratch = ScratchDirectory()
        # The engine's own catalogue stays empty: packages are loaded by path, as `Holdings` brings them.
        self._engine = build_engine(settings, self._scratch.path / "catalogue")
        self._engine.prepare_grammars()
        self._texts = TokenTexts(self.tokenizer, self._engine.token_bytes())
        self._loop = EngineLoop(self._engine)
        self._loop.start()
        self._loop.warm_up()
        self._open_calls = 0
        self._is_told = threading.Event()
        self.lease = RevocationLease(settings.adapters.trusted_keys_dir, settings.adapters.revocation_max_age_s)
        self.holdings = Holdings(
            self._engine.loader,
            self._scratch.path / "packages",
            fetch,
            self.lease,
            self._forget_prefixes,
            self._engine.base.sampling,
        )

    @property
    def tokenizer(self) -> Any:
        """The base model's tokenizer, or None."""
        return self._engine.base.tokenizer

    def watch_residency(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher``, from any thread, whenever an adapter comes to or leaves the device or host memory."""
        self._engine.loader.watch_residency(watcher)

    def stop(self) -> None:
        """End every request with an abort, stop the engine, and delete the scratch directory (idempotent)."""
        self._loop.stop()
        self._scratch.delete()

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        """What the engine produced for ``call``, at this replica's pace. Closing this aborts the request.

        Raises the core's errors before the first piece, and AdapterRejected (adapter_revoked) at any time.
        """
        spans = CallSpans(self._tracing, call)
        failure: BaseException | None = None
        self._open_calls += 1
        try:
            async with aclosing(self._generate(call, spans)) as batches:
                async for pieces in batches:
                    yield pieces
        except BaseException as error:  # leaving early too: it is told, not handled
            failure = error
            raise
        finally:
            spans.end(failure)
            self._open_calls -= 1
            if not self._open_calls:
                self._is_told.set()

    async def _generate(self, call: GenerateCall, spans: CallSpans) -> AsyncGenerator[list[Piece]]:
        arrived = time.monotonic()
        params = SamplingParams(**sampling_arguments(call))
        encoding = spans.begin("encode")
        slow = num_characters(call.prompt) > QUICK_CHARACTERS
        token_ids = (
            await self._encoding.run(call.salt, self._encode_long, call.prompt) if slow else self._encode(call.prompt)
        )
        encoding.end()
        pinning = spans.begin("adapter.pin")
        async with self.holdings.pinned(call.mixes) as pinned:
            pinning.end()
            schedules = tuple(constant(mix) for mix in pinned.mixes)
            params = params.with_defaults(pinned.asked, self._engine.base.sampling)
            # What encoding and reading adapters has taken is gone.
            left_s = None if call.timeout_s is None else max(1e-3, call.timeout_s - (time.monotonic() - arrived))
            resume = tuple(RowProgress(row.token_ids, row.is_finished) for row in call.resume)
            request = GenerationRequest(
                call.request_id,
                token_ids,
                params,
                schedules,
                call.salt,
                call.priority,
                resume,
                left_s,
                call.is_suspect,
            )
            with self._pace.stream(call.is_streamed) as until_next_s:
                mailbox = Mailbox(until_next_s)
                pinned.ended.add_done_callback(partial(_told, mailbox))
                async with aclosing(self._loop.generate_groups(request, mailbox)) as groups:
                    told = token_ids
                    async for events in groups:
                        for event in events:
                            if event.timings is not None:
                                spans.row_ended(event, event.timings)
                        first, *rest = [self._piece(event) for event in events]
                        yield [first._replace(prompt_token_ids=told), *rest] if told else [first, *rest]
                        told = ()

    def give_up(self, message: str) -> threading.Event:
        """Tell every caller that the engine hangs, from any thread; the event is set when nobody is left to tell."""
        self._is_told.clear()
        self._loop.give_up(message)
        if not self._open_calls:
            self._is_told.set()
        return self._is_told

    def check_health(self) -> None:
        """Raise EngineStopped where the engine thread has ended, or does not get on."""
        if not self._loop.is_alive:
            raise EngineStopped("the engine thread has ended; the replica is replaced")
        if self._loop.heartbeat.is_stuck:
            silent_s = self._loop.heartbeat.silent_s
            raise EngineStopped(f"the engine computes nothing for {silent_s:.0f} s; the replica is replaced")

    async def backlog_tokens(self) -> int:
        """Tokens promised and not computed yet. Raises EngineStopped."""
        return await self._loop.call(lambda engine: engine.scheduler.backlog_tokens)

    async def report(self, replica_id: str, catalogue_version: str) -> Report:
        """What this worker says about itself. Raises EngineStopped."""
        held, refused = self.holdings.report()
        stats = await self._loop.call(Engine.stats)
        return Report(
            replica_id=replica_id,
            base_id=public_id(self._engine.base.info.name),
            context_length=self._engine.max_row_tokens,
            catalogue_version=catalogue_version,
            held=held,
            refused=refused,
            verdicts=self.holdings.verdicts(),
            stats={**engine_numbers(stats), "max_adapters": self._max_adapters(stats)},
            adapters=adapter_numbers(stats, held),
            revocations=self.lease.list.number,
            sampling=explained(None, self._engine.base.sampling),
        )

    async def _forget_prefixes(self, weights_digest: WeightsDigest) -> int:
        return await self._loop.call(lambda engine: engine.prefixes.forget(weights_digest))

    def _encode_long(self, prompt: Any) -> tuple[int, ...]:
        """As `_encode`; what is far too long is refused by its beginning, in a part of the time."""
        limit = self._engine.max_row_tokens
        length = PROBE_CHARACTERS * limit
        for text in texts_of(prompt):
            if len(text) > length and len(self._engine.base.encode(text[:length])) > limit:
                raise ContextLengthExceeded(
                    f"a text of {len(text)} characters has more than {limit} tokens, which is what the context holds; "
                    "shorten it",
                    param="messages" if isinstance(prompt, tuple) else "prompt",
                )
        return self._encode(prompt)

    def _encode(self, prompt: Any) -> tuple[int, ...]:
        token_ids = self._engine.encode(prompt)
        if not token_ids:
            raise InvalidRequest("the prompt is empty; send text or token ids", param="prompt")
        return token_ids

    def _piece(self, event: TokenEvent) -> Piece:
        chosen = None
        if event.logprob is not None and event.token_id is not None:
            chosen = self._texts.likely(event.token_id, event.logprob)
        return Piece(
            row=event.index,
            token_id=event.token_id,
            position=event.position,
            text=event.text,
            logprob=chosen,
            top=tuple(self._texts.likely(token, logprob) for token, logprob in event.top_logprobs),
            finish_reason=event.finish_reason,
            error=event.error,
            failure=None if event.failure is None else as_row_error(event.failure),
            prompt_tokens=event.num_prompt_tokens,
            times=None if event.timings is None else row_times(event.timings),
        )

    def _max_adapters(self, stats: Mapping[str, Any]) -> int:
        """How many adapters, as large as the largest one on the device, can be there at once; at most one per row."""
        memory, rows = stats["adapters"], self._engine.options.max_rows
        largest = max((adapter["device_bytes"] for adapter in memory["adapters"].values()), default=0)
        return min(rows, memory["device"]["budget_bytes"] // largest) if largest else rows


def _told(mailbox: Mailbox, ended: asyncio.Future[None]) -> None:
    """Whoever reads from ``mailbox`` learns why its request was ended, if it was."""
    if not ended.cancelled() and (error := ended.exception()) is not None:
        mailbox.fail(error)


def num_characters(prompt: str | tuple[int, ...] | tuple[Mapping[str, str], ...]) -> int:
    """Characters of text to encode, about `TEMPLATE_CHARACTERS` of them around each message; token ids have none."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(text) + TEMPLATE_CHARACTERS for text in texts_of(prompt))


def texts_of(prompt: str | tuple[int, ...] | tuple[Mapping[str, str], ...]) -> list[str]:
    """The texts of a prompt; token ids have none."""
    if isinstance(prompt, str):
        return [prompt]
    return [part["content"] for part in prompt if not isinstance(part, int)]


def sampling_arguments(call: GenerateCall) -> dict[str, Any]:
    """Keyword arguments of SamplingParams."""
    grammar = None if call.response_format is None else json_grammar(call.response_format)
    return {**call.sampling, "grammar": grammar}


def row_times(timings: Timings) -> RowTimes:
    """The phases of a row, for other processes."""
    begun = timings.first_token_s > 0
    return RowTimes(
        queued_s=timings.queued_s,
        load_s=timings.load_s,
        prefill_s=timings.first_token_s - timings.queued_s if begun else 0.0,
        decode_s=timings.total_s - timings.first_token_s if begun else 0.0,
        total_s=timings.total_s,
        taken_over=timings.taken_over,
        num_preemptions=timings.num_preemptions,
    )


def adapter_numbers(
    stats: Mapping[str, Any], held: Mapping[BundleDigest, Holding]
) -> dict[BundleDigest, AdapterNumbers]:
    """The engine's numbers by bundle; bundles of equal weights are counted as one of them."""
    bundles = {holding.weights_digest: bundle for bundle, holding in held.items()}
    rows, counts = stats["adapter_rows"], stats["adapter_counts"]
    numbers = {}
    for digest, bundle in bundles.items():
        if digest in rows or digest in counts:
            running, waiting = rows.get(digest, (0, 0))
            numbers[bundle] = AdapterNumbers(running, waiting, counts.get(digest, {}))
    return numbers


def engine_numbers(stats: Mapping[str, Any]) -> dict[str, float]:
    """The engine's statistics as plain numbers for /metrics."""
    blocks = stats["kv_blocks"]
    return {
        "rows_running": stats["rows"]["running"],
        "rows_waiting": stats["rows"]["waiting"],
        "longest_wait_s": stats["longest_wait_s"],
        "backlog_tokens": stats["backlog_tokens"],
        "kv_blocks": blocks["total"],
        "kv_block_size": blocks["block_size"],
        "kv_cache_usage": blocks["used"] / blocks["total"] if blocks["total"] else 0.0,
        "steps": stats["steps"],
        "tokens_generated": stats["tokens_generated"],
        "preemptions": stats["preemptions"],
        "layer_tokens_computed": sum(span["computed"] for span in stats["layer_tokens"]),
        "layer_tokens_taken_over": sum(span["taken_over"] for span in stats["layer_tokens"]),
        "cut": stats["cut"] or 0,
    }
