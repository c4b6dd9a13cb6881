"""The replica deployment: one `EngineWorker`, kept in step with the store, reporting about once a second.

Knows Ray and the store. The engine and everything about requests are in `worker.py`, which is imported only where a
replica runs: processes that only refer to this class need no torch.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import ray
from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.handle import DeploymentHandle

from adaptrix_core.adapters.trust.revocation import SignedList
from adaptrix_core.adapters.trust.revocation_directory import read_shared_list
from adaptrix_core.config import Settings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import EngineStopped, RetryLater
from adaptrix_core.observe.logs import start_logging
from adaptrix_core.observe.tracing import start_tracing
from deployments.launch.autoscaling import BACKLOG
from deployments.replica.cpu_threads import num_threads
from deployments.replica.packages.source import PackageSource
from deployments.replica.revocation_follower import RevocationFollower
from deployments.replica.watchdog import Watchdog
from deployments.router.handle import HandleRouter
from deployments.shared.catalogue import Catalogue
from deployments.shared.errors import as_core_error
from deployments.shared.gc_tuning import spare_what_is_loaded
from deployments.shared.loopback import keep_to_loopback
from deployments.shared.token_calls import CountCall, Counted, DetokenizeCall, TokenizeCall, Tokenized
from deployments.shared.wire import GenerateCall, Piece
from deployments.store.catalogue_follower import StoreFollower
from deployments.store.disk import packages_directory
from deployments.store.handle import namespace_of
from deployments.store.shipped import read_shared

logger = logging.getLogger(__name__)

REPORT_S = 1.0
NUM_HOT = 32
"""Most adapters that a new replica loads before its first request."""
ANSWER_S = 5.0
"""Seconds after which a store that does not answer counts as lost."""

SWITCH_INTERVAL_S = 0.0005
"""Longest time, in seconds, that a thread keeps Python's lock while another waits for it (the default is 0.005). The
engine's thread needs it for short moments, many times per step."""


class ModelReplica:
    """One replica of the model."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: Settings, router: DeploymentHandle | None = None
    ) -> None:
        """router: asked who answers, where the base model's own reading has a vote on that."""
        from deployments.replica.worker import EngineWorker

        keep_to_loopback()
        context = serve.get_replica_context()
        self._replica_id = context.replica_id.unique_id
        self._actor_id = ray.get_runtime_context().get_actor_id()
        self._synced = ""
        self._follower = StoreFollower(settings.adapters, namespace_of(context.app_name), self._on_catalogue)
        start_logging(settings.observe)
        tracing = start_tracing(settings.observe, "replica", self._replica_id)
        adapters = settings.adapters
        read = partial(read_shared, adapters.dir, packages_directory(adapters.state_dir))
        source = PackageSource(self._fetch, read)
        threads = num_threads(settings.replicas, _node_cpus())
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._worker = await asyncio.to_thread(EngineWorker, settings, source.fetch, tracing, threads, self._replica_id)
        if router is not None:
            self._worker.at_the_cut.asks(HandleRouter(router))
        self._revocations = RevocationFollower(
            self._worker.lease,
            self._ask_revocations,
            partial(read_shared_list, adapters.state_dir),
            self._on_revocations,
        )
        self._watchdog = Watchdog(self._worker.check_health, self._worker.give_up)
        self._watchdog.start()
        await self._follower.start()
        await self._revocations.start()
        await self._prefetch()
        self._reporting = asyncio.create_task(self._keep_reporting())
        spare_what_is_loaded()

    async def generate(self, call: GenerateCall) -> AsyncGenerator[list[Piece]]:
        """The pieces of each engine step for ``call``, as they come. Closing this aborts the request."""
        try:
            async with aclosing(self._worker.generate(call)) as batches:
                async for pieces in batches:
                    yield pieces
        except RetryLater as error:
            error.replica_id = self._replica_id  # so that another one is asked
            raise

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a prompt."""
        return await self._worker.tokens.tokenize(call)

    async def count(self, call: CountCall) -> Counted:
        """The sizes of a conversation's parts."""
        return await self._worker.tokens.count(call)

    async def detokenize(self, call: DetokenizeCall) -> str:
        """The text of token ids."""
        return await self._worker.tokens.detokenize(call)

    async def check_health(self) -> None:
        """Raise where the engine thread has ended or is stuck; Serve then replaces this replica."""
        self._worker.check_health()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The number that the autoscaling policy decides by: the backlog of tokens."""
        return {BACKLOG: float(await self._worker.backlog_tokens())}

    async def _prefetch(self) -> None:
        """Load the adapters that were used most lately, before the first request comes."""
        try:
            await self._worker.holdings.warm(await self._follower.store.hot.remote(NUM_HOT))
            await self._report()  # their residency now
        except RayError as error:
            logger.warning("the adapter store does not say which adapters are hot: %s", error)

    def __del__(self) -> None:
        if hasattr(self, "_watchdog"):
            self._watchdog.stop()
        if hasattr(self, "_worker"):  # missing where __init__ failed earlier
            self._worker.stop()

    async def _on_revocations(self) -> None:
        self._worker.holdings.let_go_revoked()
        await self._report()

    async def _ask_revocations(self, known_number: int, wait_s: float) -> SignedList | None:
        asking = self._follower.store.watch_revocations.options(max_task_retries=0)
        async with asyncio.timeout(wait_s + ANSWER_S):
            files: SignedList | None = await asking.remote(known_number, wait_s)
        return files

    async def _on_catalogue(self, catalogue: Catalogue) -> None:
        await self._revocations.refresh()  # first: it decides which packages of the catalogue are fetched
        await self._worker.holdings.sync(catalogue)
        self._worker.at_the_cut.follow(catalogue)
        self._synced = catalogue.version
        await self._report()

    async def _fetch(self, bundle: BundleDigest) -> Mapping[str, bytes]:
        try:
            (reference,) = await self._follower.store.fetch.remote(bundle)
            files = await reference
        except RayTaskError as error:
            raise as_core_error(error) from error
        # Copied out of shared memory, so that the verified bytes are the bytes used, whatever happens to the store.
        return {name: content.tobytes() for name, content in files.items()}

    async def _report(self) -> None:
        report = await self._worker.report(self._replica_id, self._synced)
        await self._follower.store.report.remote(replace(report, actor_id=self._actor_id))

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


def _node_cpus() -> float:
    """The cores of this node, as Ray counts them."""
    here = ray.get_runtime_context().get_node_id()
    return next((float(node["Resources"].get("CPU", 0.0)) for node in ray.nodes() if node["NodeID"] == here), 0.0)
