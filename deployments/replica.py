"""One model replica: an engine on its own thread, the packages it holds, and what it reports about itself.

Thin: prompts become token ids, package digests become mixes, token events become pieces. Model work is the engine's.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from ray import serve
from ray.exceptions import RayError

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModelManager
from adaptrix_core.config import Settings
from adaptrix_core.engine import Engine, EngineLoop, EngineOptions, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.constraint import json_grammar
from adaptrix_core.errors import EngineStopped, InvalidRequest
from adaptrix_core.injection.mix import constant
from deployments.batching import batched
from deployments.follow import StoreFollower
from deployments.holdings import Holdings
from deployments.store import namespace_of
from deployments.wire import GenerateCall, Likely, Piece, Report

logger = logging.getLogger(__name__)

REPORT_S = 1.0


class ModelReplica:
    """Serves `GenerateCall`s; follows the store's catalogue."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Serve awaits it
        context = serve.get_replica_context()
        self._replica_id = context.replica_id.unique_id
        self._private = tempfile.TemporaryDirectory(prefix="adaptrix-replica-")
        private = Path(self._private.name)
        self._engine = await asyncio.to_thread(build_engine, settings, private / "catalogue")
        self._loop = EngineLoop(self._engine)
        self._loop.start()
        self._follower = StoreFollower(settings.adapters, namespace_of(context.app_name), self._on_catalogue)
        self._holdings = Holdings(self._engine.loader, private / "packages", self._fetch)
        self._synced = ""
        await self._follower.start()
        await self._report()
        self._reporting = asyncio.create_task(self._keep_reporting())

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        """What each engine step produced for ``call``, as it comes. Closing this aborts the request.

        Raises the core's errors before the first piece.
        """
        params = SamplingParams(**sampling_arguments(call))
        token_ids = await asyncio.to_thread(self._encode, call.prompt)
        async with self._holdings.pinned(call.mixes) as mixes:
            schedules = tuple(constant(mix) for mix in mixes)
            request = GenerationRequest(call.request_id, token_ids, params, schedules, call.salt)
            async with aclosing(batched(self._loop.generate(request))) as batches:
                async for events in batches:
                    yield [self._piece(event) for event in events]

    async def check_health(self) -> None:
        """Raises where the engine thread has ended; Serve then replaces this replica."""
        if not self._loop.is_alive:
            raise EngineStopped("the engine thread has ended")

    def __del__(self) -> None:
        self._loop.stop()
        self._private.cleanup()

    def _encode(self, prompt: Any) -> tuple[int, ...]:
        token_ids = self._engine.encode(prompt)
        if not token_ids:
            raise InvalidRequest("the prompt is empty; send text or token ids", param="prompt")
        return token_ids

    def _piece(self, event: TokenEvent) -> Piece:
        chosen = None
        if event.logprob is not None and event.token_id is not None:
            chosen = Likely(self._token(event.token_id), event.token_id, event.logprob)
        return Piece(
            index=event.index,
            token_id=event.token_id,
            position=event.position,
            text=event.text,
            logprob=chosen,
            top=tuple(Likely(self._token(token), token, logprob) for token, logprob in event.top_logprobs),
            finish_reason=event.finish_reason,
            error=event.error,
            prompt_tokens=event.num_prompt_tokens,
        )

    def _token(self, token_id: int) -> str:
        tokenizer = self._engine.base.tokenizer
        return str(tokenizer.decode([token_id])) if tokenizer is not None else f"token_id:{token_id}"

    async def _on_catalogue(self, catalogue: Any) -> None:
        await self._holdings.sync(catalogue)
        self._synced = catalogue.version
        await self._report()

    async def _fetch(self, package: str) -> Mapping[str, bytes]:
        (reference,) = await self._follower.store.fetch.remote(package)
        files = await reference
        # Copied out of shared memory: what is verified is what is used, whatever happens to the store.
        return {name: content.tobytes() for name, content in files.items()}

    async def _report(self) -> None:
        held, refused = self._holdings.report()
        info = self._engine.base.info
        report = Report(
            replica_id=self._replica_id,
            base_id=info.name,
            context_length=self._engine.max_row_tokens,
            catalogue_version=self._synced,
            held=held,
            refused=refused,
            stats=engine_numbers(await self._loop.call(Engine.stats)),
        )
        await self._follower.store.report.remote(report)

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            try:
                await self._report()
            except RayError as error:
                logger.warning("could not report to the adapter store: %s", error)
            except EngineStopped:
                logger.error("the engine thread has ended; this replica reports no more")
                return


def build_engine(settings: Settings, adapters_dir: Path) -> Engine:
    """The engine of one replica. ``adapters_dir`` stays empty: packages are loaded by path, from `Holdings`."""
    wanted, adapters = settings.engine, settings.adapters
    base = BaseModelManager(
        settings.base.model, settings.base.device, settings.base.precision, settings.base.lineage
    ).load_model()
    defaults = EngineOptions()
    options = EngineOptions(
        max_rows=wanted.max_rows,
        max_batch_tokens=wanted.max_batch_tokens,
        max_waiting=wanted.max_queue,
        block_size=wanted.block_size,
        kv_cache_tokens=wanted.kv_cache_tokens or defaults.kv_cache_tokens,
        cut=wanted.cut,
    )
    trust = TrustPolicy(adapters.trust, adapters.trusted_keys_dir, adapters.revocation_file)
    return Engine(
        base,
        adapters_dir,
        trust,
        options,
        host_budget_bytes=wanted.host_cache_bytes,
        device_budget_bytes=wanted.device_budget_bytes,
    )


def sampling_arguments(call: GenerateCall) -> dict[str, Any]:
    """Keyword arguments of SamplingParams."""
    grammar = None if call.response_format is None else json_grammar(call.response_format)
    return {**call.sampling, "grammar": grammar}


def engine_numbers(stats: Mapping[str, Any]) -> dict[str, float]:
    """The engine's statistics as plain numbers for /metrics."""
    blocks = stats["kv_blocks"]
    return {
        "rows_running": stats["rows"]["running"],
        "rows_waiting": stats["rows"]["waiting"],
        "kv_cache_usage": blocks["used"] / blocks["total"] if blocks["total"] else 0.0,
        "steps": stats["steps"],
        "tokens_generated": stats["tokens_generated"],
        "preemptions": stats["preemptions"],
    }
