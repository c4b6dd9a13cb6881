"""The whole server in one process and without Ray: the same API, worker, store and router, joined by plain calls.

For tests of what the parts do. What Ray adds (processes, handles, restarts) is tested in the integration tests.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.revocation import SignedList
from adaptrix_core.adapters.trust.revocation_directory import read_shared_list
from adaptrix_core.confidence.feedback import AnswerLabel
from adaptrix_core.config import Settings, load_settings
from adaptrix_core.digests import BundleDigest
from adaptrix_core.observe.tracing import Tracing, start_tracing
from adaptrix_core.observe.tracker.outbox import Outbox
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.conversation import user_turns
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.feedback.answers import AnswerLabelTaken, AnswerThresholds
from adaptrix_core.routing.feedback.labels import LabelTaken
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.evidence_file import RouterEvidence
from adaptrix_core.routing.signals.learnt_messages import LearntMessage, LearntMessages
from adaptrix_core.security.audit.record import AuditEvent
from deployments.audit.opened import opened_writer
from deployments.audit.trail import AuditTrail
from deployments.batches.lowest_priority import LowestPriority
from deployments.batches.own_api import OwnApi
from deployments.batches.runner import BatchRunner
from deployments.callers.key_ring import KeyRing
from deployments.callers.keys_follower import KeysFollower
from deployments.generation.pipeline import Pipeline
from deployments.generation.ports import Replicas
from deployments.http.app import build_api
from deployments.http.observe.metrics import Metrics
from deployments.http.services import Services
from deployments.objects.batch_ledger import BatchLedger
from deployments.objects.keeper import Keeper
from deployments.objects.tenant_objects import TenantObjects
from deployments.replica.revocation_follower import RevocationFollower
from deployments.replica.worker import EngineWorker
from deployments.router.deployment import Heard, cards_of, decided, embedded, goes_by_more_than_cards, left_open
from deployments.router.views import RouterViews
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import PUBLIC, Audience, Entry, LoadCall
from deployments.shared.follower import Follower
from deployments.shared.wire import Report, Revoked, RouteAnswer
from deployments.store.actor import AdapterStore
from deployments.tracking.sender import Sender
from deployments.tracking.tracker import Tracker
from tests.serving.json_logs import json_logs


class LocalStore:
    """The store actor's class, called directly, with one worker that follows it."""

    def __init__(self, settings: Settings, tracing: Tracing) -> None:
        self.settings = settings
        self.actor = AdapterStore(settings.adapters)
        self.keeper = Keeper(settings.adapters.state_dir, settings.objects)
        self.objects = TenantObjects(self.keeper)
        self.batches = BatchLedger(self.keeper)
        self.worker = EngineWorker(settings, self._fetch, tracing)
        self.revocations = RevocationFollower(
            self.worker.lease,
            self.actor.watch_revocations,
            partial(read_shared_list, settings.adapters.state_dir),
            self._on_revocations,
        )
        self.catalogue = Catalogue("")
        self._following: asyncio.Task[None] | None = None

    async def _fetch(self, bundle: BundleDigest, name: str) -> Snapshot:
        return Snapshot(name, (await self.actor.read_package(bundle)).files)

    async def start(self) -> None:
        await self.refresh()
        await self._sync()
        await self.revocations.start()
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        assert self._following is not None
        self.revocations.stop()
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self.keeper.close()
        self.worker.stop()

    async def refresh(self) -> Catalogue:
        self.catalogue = await self.actor.watch(None)
        return self.catalogue

    async def base_id(self) -> str:
        return (await self.worker.report("replica-1", self.catalogue.version)).base_id

    async def is_asleep(self) -> bool:
        return False

    async def overview(self) -> tuple[Catalogue, list[Report]]:
        return await self.actor.overview()

    async def about(self, bundle: str) -> dict[str, Any]:
        return await self.actor.about(bundle)

    async def load_adapter(self, wanted: LoadCall) -> Entry:
        return await self.actor.load_adapter(wanted)

    async def unload_adapter(self, name: str, allow_downgrade: bool = False, tenant: str = "") -> list[Entry]:
        return await self.actor.unload_adapter(name, allow_downgrade, tenant)

    async def publish_adapter(
        self, files: Mapping[str, bytes], allow_downgrade: bool = False, audience: Audience = PUBLIC
    ) -> tuple[Entry, bool]:
        return await self.actor.publish_adapter(files, allow_downgrade, audience)

    async def share_adapter(self, name: str, audience: Audience) -> list[Entry]:
        return await self.actor.share_adapter(name, audience)

    async def revoke(self, files: SignedList) -> Revoked:
        return await self.actor.revoke(files)

    async def revocation_list(self) -> SignedList | None:
        return await self.actor.watch_revocations(-1, 0.0)

    async def _on_revocations(self) -> None:
        self.worker.holdings.let_go_revoked()
        await self.actor.report(await self.worker.report("replica-1", self.catalogue.version))

    async def _sync(self) -> None:
        await self.revocations.refresh()
        await self.worker.holdings.sync(self.catalogue)
        self.worker.at_the_cut.follow(self.catalogue)
        await self.actor.report(await self.worker.report("replica-1", self.catalogue.version))

    async def _follow(self) -> None:
        reporting = asyncio.create_task(self._keep_reporting())
        try:
            while True:
                self.catalogue = await self.actor.watch(self.catalogue.version)
                await self._sync()
        finally:
            reporting.cancel()

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            await self.actor.report(await self.worker.report("replica-1", self.catalogue.version))


class LocalRouter:
    """The semantic router, called directly."""

    def __init__(self, store: LocalStore, embedder: TextEmbedder | None) -> None:
        self._embedder = embedder
        self._store = store
        make = partial(SemanticRouter, embedder, signals=store.settings.router.signals)
        self._views = RouterViews(make, self._public_cards, cards_of, store.settings.adapters.state_dir)
        self._answers = AnswerThresholds(store.settings.adapters.state_dir)
        self._learnt = LearntMessages(store.settings.adapters.state_dir)

    async def route(
        self, messages: Sequence[dict[str, str]], salt: bytes = b"", explained: bool = False
    ) -> RouteAnswer:
        heard = await self._heard(messages, salt)
        answer = RouteAnswer.of(decided(heard), explained, left_open(self._store.settings.router, heard))
        if not explained or not heard.turns:
            return answer
        return replace(answer, touches=heard.view.router.touched(heard.turns[-1]))

    async def has_to_be_asked(self) -> bool:
        return goes_by_more_than_cards(self._store.settings.router) or bool(self._learnt.all())

    async def feedback(
        self, messages: Sequence[dict[str, str]], right: str | None, salt: bytes = b"", learn: bool = False
    ) -> LabelTaken:
        heard = await self._heard(messages, salt)
        if learn:
            heard.view.require_public(right)
        taken = heard.view.thresholds.label(salt, decided(heard), right)
        if not learn:
            return taken
        self._learnt.add(heard.turns[-1] if heard.turns else "", right)
        return replace(taken, learnt=len(self._learnt.all()))

    async def learnt(self) -> tuple[LearntMessage, ...]:
        return self._learnt.all()

    async def forget(self, message_id: str) -> LearntMessage | None:
        return self._learnt.forget(message_id)

    async def label_answer(self, label: AnswerLabel, salt: bytes = b"") -> AnswerLabelTaken:
        return self._answers.label(salt, label)

    async def confidence_moved(self, salt: bytes = b"") -> Mapping[str, float]:
        return self._answers.of(salt)

    def _public_cards(self, entries: Sequence[Entry]) -> tuple[RouteCard, ...]:
        evidence = RouterEvidence().with_learnt(self._learnt.all())
        return tuple(evidence.on(cards_of(entries, self._store.settings.router.keywords)))

    async def _heard(self, messages: Sequence[dict[str, str]], salt: bytes) -> Heard:
        await self._views.follow(self._store.catalogue)
        view = self._views.of(salt)
        turns = user_turns(messages)
        rows = None if self._embedder is None else self._embedder.embed(turns, salt)
        return Heard(turns, rows, view, view.residency(await self._store.actor.residency()), view.thresholds.of(salt))

    async def embed(
        self, inputs: Sequence[str | tuple[int, ...]], dimensions: int | None, salt: bytes = b""
    ) -> tuple[list[list[float]], int]:
        return embedded(self._embedder, inputs, dimensions, salt)


class LocalAudit:
    """The writer of the audit log, called directly."""

    def __init__(self, settings: Settings) -> None:
        self.writer = opened_writer(settings.audit)

    async def record(self, events: Sequence[AuditEvent], is_urgent: bool) -> None:
        await asyncio.wrap_future(self.writer.record(events, is_urgent))


def only_worker(store: LocalStore) -> Replicas:
    """The store's worker as all replicas that there are."""
    return store.worker


@asynccontextmanager
async def application(
    args: Mapping[str, object],
    embedder: TextEmbedder | None = None,
    keys: Path | None = None,
    replicas_of: Callable[[LocalStore], Replicas] = only_worker,
) -> AsyncIterator[tuple[ASGIApp, LocalStore]]:
    """A server's application with these settings, and its store. replicas_of: what stands in for the Ray handle."""
    settings = load_settings(args)
    with json_logs(settings.observe):
        tracing = start_tracing(settings.observe, "all", "test")
        store = LocalStore(settings, tracing)
        await store.start()
        router = LocalRouter(store, embedder) if embedder is not None or settings.router.trunk else None
        if router is not None:
            store.worker.at_the_cut.asks(router)
        metrics, replicas = Metrics(settings.observe.metrics_adapters), replicas_of(store)
        tracker, outbox = Tracker(settings.tracker, settings.adapters.state_dir), Outbox()
        sender = Sender(outbox, tracker.add)
        sender.start()
        services = Services(
            settings=settings,
            keys=KeyRing.read(keys),
            pipeline=Pipeline(replicas, metrics.continuations.inc),
            tokenizer=store.worker.tokens,
            router=router,
            store=store,
            objects=store.objects,
            batches=store.batches,
            metrics=metrics,
            tracing=tracing,
            outbox=outbox if settings.tracker.enabled else None,
            usage=tracker if settings.tracker.enabled else None,
        )
        pipeline = Pipeline(LowestPriority(replicas), metrics.continuations.inc)
        log = None if settings.audit.dir is None else LocalAudit(settings)
        services.audit = AuditTrail(log)
        audit = Follower(services.audit.flush)
        audit.start()
        runner = BatchRunner(store.batches, OwnApi(services, pipeline), settings, services.keys)
        runner.start()
        followed = Follower(KeysFollower(services.keys, keys, services.running).look)
        followed.start()
        try:
            yield build_api(services), store
        finally:
            followed.stop()
            audit.stop()
            await services.audit.flush()
            if log is not None:
                await asyncio.to_thread(log.writer.close)
            await runner.stop()
            await sender.stop()
            await tracker.close()
            await store.stop()
            tracing.stop()


@asynccontextmanager
async def running(
    args: Mapping[str, object],
    embedder: TextEmbedder | None = None,
    keys: Path | None = None,
    replicas_of: Callable[[LocalStore], Replicas] = only_worker,
) -> AsyncIterator[tuple[httpx.AsyncClient, LocalStore]]:
    """A client of such an application, without a socket between them, and its store."""
    async with application(args, embedder, keys, replicas_of) as (app, store):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=120) as client:
            yield client, store


@asynccontextmanager
async def listening(app: ASGIApp) -> AsyncIterator[str]:
    """The URL under which ``app`` answers real HTTP."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
