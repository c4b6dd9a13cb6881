"""The ingress deployment: the HTTP API of `http/app.py`, with Ray handles behind it.

Streams come straight from the replica that computes them. Knows handles and their failures; no endpoint lives here.
"""

from __future__ import annotations

import asyncio

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from adaptrix_core.config import Settings
from adaptrix_core.observe.logs import start_logging
from adaptrix_core.observe.tracing import start_tracing
from deployments.generation.pipeline import Pipeline
from deployments.http.app import build_api
from deployments.http.observe.metrics import Metrics
from deployments.http.services import Services
from deployments.ingress.announcement import announce
from deployments.ingress.handles import HandleObjects, HandleReplicas, HandleRouter, HandleStore, HandleTokenizer
from deployments.ingress.scaled_to_zero import ScaledToZero
from deployments.placement import known_replicas
from deployments.shared.gc_tuning import spare_what_is_loaded
from deployments.shared.loopback import keep_to_loopback
from deployments.shared.principals import KeyRing
from deployments.store.catalogue_follower import StoreFollower
from deployments.store.handle import namespace_of
from deployments.store.residency_follower import ResidencyFollower


@serve.ingress()
class Ingress:
    """One HTTP front; several may run side by side."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        settings: Settings,
        model: DeploymentHandle,
        background: DeploymentHandle,
        router: DeploymentHandle | None = None,
        url: str | None = None,
    ) -> None:
        """url: the service's address for clients, logged once it is ready."""
        context = serve.get_replica_context()
        app_name = context.app_name
        keep_to_loopback()
        start_logging(settings.observe)
        self._follower = StoreFollower(settings.adapters, namespace_of(app_name))
        metrics = Metrics(settings.observe.metrics_adapters)
        self._services = Services(
            settings=settings,
            keys=KeyRing.read(settings.security.api_keys_file),
            pipeline=Pipeline(HandleReplicas(model), metrics.continuations.inc),
            tokenizer=HandleTokenizer(model),
            router=HandleRouter(router) if router is not None else None,
            store=HandleStore(self._follower, settings, ScaledToZero(app_name, model.deployment_name)),
            objects=HandleObjects(background),
            metrics=metrics,
            tracing=start_tracing(settings.observe, "ingress", context.replica_id.unique_id),
        )
        await self._follower.start()
        self._residency = ResidencyFollower(self._follower.residency, known_replicas.told)
        self._residency.start()
        self._announcing = asyncio.create_task(announce(self._services, url)) if url is not None else None

    def __serve_build_asgi_app__(self) -> ASGIApp:
        app = build_api(self._services)
        spare_what_is_loaded()
        return app
