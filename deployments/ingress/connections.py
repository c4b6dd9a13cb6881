"""What a process that serves the HTTP API needs of the others, kept up to date: the services behind the endpoints."""

from __future__ import annotations

from ray import serve
from ray.serve.handle import DeploymentHandle

from adaptrix_core.config import Settings
from adaptrix_core.observe.logs import start_logging
from adaptrix_core.observe.tracing import start_tracing
from adaptrix_core.observe.tracker.outbox import Outbox
from deployments.audit.handle import HandleAudit
from deployments.audit.trail import AuditTrail
from deployments.callers.key_ring import KeyRing
from deployments.callers.keys_follower import KeysFollower
from deployments.generation.pipeline import Pipeline
from deployments.http.observe.metrics import Metrics
from deployments.http.services import Batches, Objects, Services
from deployments.ingress.handles import HandleReplicas, HandleStore, HandleTokenizer
from deployments.ingress.scaled_to_zero import ScaledToZero
from deployments.placement import known_replicas
from deployments.router.handle import HandleRouter
from deployments.shared.follower import Follower
from deployments.shared.loopback import keep_to_loopback
from deployments.store.catalogue_follower import StoreFollower
from deployments.store.handle import namespace_of
from deployments.store.residency_follower import ResidencyFollower
from deployments.tracking.handle import HandleTracker
from deployments.tracking.sender import Sender


class Connections:
    """The services of one process, and what follows the adapter store for them."""

    def __init__(
        self,
        settings: Settings,
        part: str,
        model: DeploymentHandle,
        router: DeploymentHandle | None,
        objects: Objects,
        batches: Batches,
    ) -> None:
        """part: the name of this part of the system, for traces."""
        context = serve.get_replica_context()
        app_name = context.app_name
        keep_to_loopback()
        start_logging(settings.observe)
        self._follower = StoreFollower(settings.adapters, namespace_of(app_name))
        self._residency = ResidencyFollower(self._follower.residency, known_replicas.told)
        metrics = Metrics(settings.observe.metrics_adapters)
        tracker = HandleTracker(settings, namespace_of(app_name)) if settings.tracker.enabled else None
        outbox = None if tracker is None else Outbox()
        self._sender = None if tracker is None or outbox is None else Sender(outbox, tracker.add)
        self.services = Services(
            settings=settings,
            keys=KeyRing.read(settings.security.api_keys_file),
            pipeline=Pipeline(HandleReplicas(model), metrics.continuations.inc),
            tokenizer=HandleTokenizer(model),
            router=HandleRouter(router) if router is not None else None,
            store=HandleStore(self._follower, settings, ScaledToZero(app_name, model.deployment_name)),
            objects=objects,
            batches=batches,
            metrics=metrics,
            tracing=start_tracing(settings.observe, part, context.replica_id.unique_id),
            outbox=outbox,
            usage=tracker,
        )
        log = HandleAudit(settings, namespace_of(app_name)) if settings.audit.dir is not None else None
        self.services.audit = AuditTrail(log)
        self._audit = log
        self._auditing = Follower(self.services.audit.flush)
        keys = KeysFollower(self.services.keys, settings.security.api_keys_file, self.services.running)
        self._keys = Follower(keys.look)

    async def start(self) -> None:
        """Take over what the adapter store knows, and follow it and the keys file from now on."""
        await self._follower.start()
        self._residency.start()
        self._keys.start()
        if self._sender is not None:
            self._sender.start()
        if self._audit is not None:
            await self._audit.open()
            self._auditing.start()

    async def stop(self) -> None:
        """Send what the tracker and the audit log do not have yet: the process ends."""
        if self._sender is not None:
            await self._sender.stop()
        if self._audit is not None:
            self._auditing.stop()
            await self.services.audit.flush()
