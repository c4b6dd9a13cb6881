"""The engine side of a replica: an engine on its own thread and the packages it holds, without Ray.

Thin: prompts become token ids, bundle digests become mixes, token events become pieces. Model work is the engine's.
Importing this module loads torch, so only a replica does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.adapters.trust.revocation_lease import RevocationLease
from adaptrix_core.composition.parts import Switch
from adaptrix_core.config import Settings
from adaptrix_core.digests import BundleDigest, WeightsDigest
from adaptrix_core.engine import Engine, EngineLoop, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.build import build_engine
from adaptrix_core.engine.deferred import Settled
from adaptrix_core.engine.mailbox import Mailbox
from adaptrix_core.engine.request import RowProgress
from adaptrix_core.engine.rows.constraint import PARAM as GRAMMAR
from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.errors import AdaptrixError, EngineStopped
from adaptrix_core.injection.mix import Mix, constant
from adaptrix_core.observe.tracing import Tracing
from adaptrix_core.request_limits import MOST
from adaptrix_core.sampling import SamplingDefaults, explained, first_asked
from deployments.replica.at_the_cut import AtTheCut
from deployments.replica.call_grammars import CallGrammars
from deployments.replica.packages.holdings import Fetch, Holdings, Pinned
from deployments.replica.pieces import PieceWriter
from deployments.replica.prompt_encoding import PromptEncoder
from deployments.replica.questions.reading import QuestionReading
from deployments.replica.scratch_directory import ScratchDirectory
from deployments.replica.token_pacing import TokenPacing
from deployments.replica.token_text import TokenTexts
from deployments.replica.tokenization import Tokenization
from deployments.replica.trace_spans import CallSpans
from deployments.shared.model_ids import public_id
from deployments.shared.wire import AdapterNumbers, GenerateCall, Holding, Piece, Report


class EngineWorker:
    """Serves `GenerateCall`s. Everything but the engine's own thread runs in one event loop."""

    def __init__(
        self, settings: Settings, fetch: Fetch, tracing: Tracing, threads: int | None = None, replica_id: str = ""
    ) -> None:
        """Load the base model and start the engine; takes seconds. threads: CPU threads to compute with."""
        if threads is not None:
            torch.set_num_threads(threads)
        self._tracing = tracing
        self._pace = TokenPacing(settings.replicas.messages_per_s)
        self._scratch = ScratchDirectory()
        # The engine's own catalogue stays empty: packages are loaded by path, as `Holdings` brings them.
        # Nor does its policy look for a revocation list on this machine's disk: the lease has the one in force.
        trust = replace(TrustPolicy.of(settings.adapters), revocations_dir=None)
        self._engine = build_engine(settings, self._scratch.path / "catalogue", trust)
        self._engine.prepare_grammars()
        long_texts = TenantQueue("texts", threads=4, at_once=2, max_waiting=MOST.texts_waiting)
        self._prompts = PromptEncoder(self._engine, long_texts)
        self.tokens = Tokenization(self._engine, long_texts)
        self._grammars = CallGrammars(self._engine.base)
        self._pieces = PieceWriter(TokenTexts(self.tokenizer, self._engine.token_bytes()), replica_id)
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
            self._engine.base.info.num_layers,
        )
        self.at_the_cut = AtTheCut(self._loop, settings.router)
        self._questions = QuestionReading(self._loop)

    @property
    def tokenizer(self) -> Any:
        """The base model's tokenizer, or None."""
        return self._engine.base.tokenizer

    def stop(self) -> None:
        """End every request with an abort, stop the engine, and delete the scratch directory (idempotent)."""
        self._loop.stop()
        self._scratch.delete()

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        """The pieces of ``call``, at this replica's pace (`token_pacing.py`). Closing this aborts the request.

        Raises the core's errors before the first piece, and AdapterRejected (adapter_revoked) at any time.
        """
        arrived = time.monotonic()
        with self._open(call) as spans:
            params = SamplingParams(**await self._grammars.arguments(call))
            encoding = spans.begin("encode")
            token_ids = await self._prompts.encode(call)
            encoding.end()
            pinning = spans.begin("adapter.pin")
            settling = await self.at_the_cut.settlement(call, token_ids, spans.context)
            held = (
                self.holdings.pinned(call.all_mixes, call.signed, [one.about for one in call.beginnings])
                if settling is None
                else settling.pinned(self.holdings)
            )
            async with held as pinned:
                pinning.end()
                request = self._request(call, token_ids, params, pinned, time.monotonic() - arrived)
                question = None
                if settling is not None:
                    request = await settling.deferred(request, partial(self._with_defaults, params), self._loop)
                elif pinned.about:
                    question = await self._questions.asked(call, token_ids, pinned.about)
                    otherwise, *rules = self._beginnings(call, params, pinned)
                    request = question.begins(request, rules, otherwise)
                with self._pace.stream(call.is_streamed) as until_next_s:
                    mailbox = Mailbox(until_next_s)
                    pinned.ended.add_done_callback(partial(_told, mailbox))
                    async with self._loop.running(request, mailbox):
                        told = token_ids  # goes out with the first piece
                        form, by = self._grammars.form_of(call), self._computed_by(call)
                        while not mailbox.is_finished:
                            events = await mailbox.take()
                            spans.rows_ended(events)
                            pieces = self._pieces.pieces_of(events, told, form, by)
                            if settling is not None and told:
                                pieces[0] = pieces[0]._replace(settled=settling.choice)
                                (await settling.let_go_others()).add_done_callback(partial(_told, mailbox))
                            if question is not None:
                                pieces = question.told_with(events, len(token_ids), pieces)
                            yield self._with_prompt(call, token_ids, events, pieces)
                            told = ()

    def _with_prompt(
        self, call: GenerateCall, token_ids: tuple[int, ...], events: Sequence[TokenEvent], pieces: list[Piece]
    ) -> list[Piece]:
        """The pieces, those that begin the first row of a mix with the prompt, where the answer tells of it."""
        if not call.tells_of_prompt:
            return pieces
        first, text = len(token_ids), ""
        for number, event in enumerate(events):
            begins = event.position == first and (event.token_id is not None or event.finish_reason == "length")
            if begins and event.index % call.rows_per_mix == 0:
                if call.echo and not text:
                    text = self._text_of(call, token_ids)
                seen = self._pieces.prompt_seen(text, token_ids, event)
                pieces[number] = pieces[number]._replace(prompt=seen)
        return pieces

    def _computed_by(self, call: GenerateCall) -> tuple[str, str] | None:
        """The base model's digest and layout, which calibrations of confidence go by."""
        info = self._engine.base.info
        return (info.digest, info.layout) if call.sampling.get("logprobs") is not None else None

    def _text_of(self, call: GenerateCall, token_ids: tuple[int, ...]) -> str:
        """The prompt's text: as it was sent, unless it was cut or sent as tokens."""
        if isinstance(call.prompt, str) and call.keep_last is None:
            return call.prompt
        return "" if self.tokenizer is None else str(self.tokenizer.decode(token_ids, skip_special_tokens=True))

    def give_up(self, message: str) -> threading.Event:
        """End every call with EngineHung, from any thread; the event is set when all callers have it."""
        self._is_told.clear()
        self._loop.give_up(message)
        if not self._open_calls:
            self._is_told.set()
        return self._is_told

    def check_health(self) -> None:
        """Raise EngineStopped where the engine thread has ended, or makes no progress."""
        if not self._loop.is_alive:
            raise EngineStopped("the engine thread has ended; the replica is replaced")
        if self._loop.heartbeat.is_stuck:
            silent_s = self._loop.heartbeat.silent_s
            raise EngineStopped(f"the engine has computed nothing for {silent_s:.0f} s; the replica is replaced")

    async def backlog_tokens(self) -> int:
        """Tokens promised and not computed yet. Raises EngineStopped."""
        return await self._loop.call(lambda engine: engine.scheduler.backlog_tokens)

    async def report(self, replica_id: str, catalogue_version: str) -> Report:
        """This worker's report to the store: what it holds, refuses and has counted. Raises EngineStopped."""
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
        return await self._loop.call(lambda engine: engine.prefixes.forget_adapter(weights_digest))

    @contextmanager
    def _open(self, call: GenerateCall) -> Iterator[CallSpans]:
        """Count one more open call while the context lasts; yields its spans."""
        spans = CallSpans(self._tracing, call)
        failure: BaseException | None = None
        self._open_calls += 1
        try:
            yield spans
        except BaseException as error:  # a caller that leaves early too: noted here, handled elsewhere
            failure = error
            if isinstance(error, AdaptrixError) and error.param == GRAMMAR:
                error.param = call.grammar_field  # as the request calls it
            raise
        finally:
            spans.end(failure)
            self._open_calls -= 1
            if not self._open_calls:
                self._is_told.set()

    def _request(
        self, call: GenerateCall, token_ids: tuple[int, ...], params: SamplingParams, pinned: Pinned, spent_s: float
    ) -> GenerationRequest:
        """The call as the engine's request. spent_s: seconds of its timeout that encoding and pinning have taken."""
        return GenerationRequest(
            call.request_id,
            token_ids,
            self._with_defaults(params, first_asked(pinned.asked[: len(call.mixes)])),
            tuple(map(constant, pinned.mixes[: len(call.mixes)])),
            call.salt,
            call.priority,
            tuple(RowProgress(row.token_ids, row.is_finished, row.logprobs) for row in call.resume),
            None if call.timeout_s is None else max(1e-3, call.timeout_s - spent_s),
            call.is_suspect,
            cache_salt=call.cache_salt,
            switches=_changes(call, pinned.mixes[len(call.mixes) :]),
            shares=call.shares,
        )

    def _beginnings(self, call: GenerateCall, params: SamplingParams, pinned: Pinned) -> list[Settled]:
        """The ways in which an answer may begin: as the call says, and as its rules do."""
        ways = (0, *range(len(pinned.mixes) - len(call.beginnings), len(pinned.mixes)))
        return [Settled(pinned.mixes[way], self._with_defaults(params, pinned.asked[way])) for way in ways]

    def _with_defaults(self, params: SamplingParams, asked: SamplingDefaults | None) -> SamplingParams:
        return params.with_defaults(asked, self._engine.base.sampling)

    def _max_adapters(self, stats: Mapping[str, Any]) -> int:
        """Adapters, as large as the largest one on the device, that fit there at once; at most one per row."""
        memory, rows = stats["adapters"], self._engine.options.max_rows
        largest = max((adapter["device_bytes"] for adapter in memory["adapters"].values()), default=0)
        return min(rows, memory["device"]["budget_bytes"] // largest) if largest else rows


def _changes(call: GenerateCall, mixes: Sequence[Mix]) -> tuple[tuple[Switch[WeightsDigest], ...], ...]:
    """The changes of mix that a call asks for, each to the next one of these mixes."""
    then = iter(mixes)
    return tuple(tuple(Switch(switch.when, next(then)) for switch in switches) for switches in call.switches)


def _told(mailbox: Mailbox, ended: asyncio.Future[None]) -> None:
    """Raise the error with which a request was ended, if any, at the reader of ``mailbox``."""
    if not ended.cancelled() and (error := ended.exception()) is not None:
        mailbox.fail(error)


def adapter_numbers(
    stats: Mapping[str, Any], held: Mapping[BundleDigest, Holding]
) -> dict[BundleDigest, AdapterNumbers]:
    """The engine's numbers by bundle; of bundles with equal weights, one has the counts of all."""
    bundles = {h.weights_digest: bundle for bundle, h in held.items() if h.weights_digest is not None}
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
