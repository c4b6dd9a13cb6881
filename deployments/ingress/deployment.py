"""The ingress deployment: the HTTP API of `http/app.py`, with Ray handles behind it.

Streams come straight from the replica that computes them. Knows handles and their failures; no endpoint lives here.
"""

from __future__ import annotations

import asyncio

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from adaptrix_core.config import Settings
from deployments.http.app import build_api
from deployments.ingress.announcement import announce
from deployments.ingress.connections import Connections
from deployments.ingress.handles import HandleBatches, HandleObjects
from deployments.shared.gc_tuning import spare_what_is_loaded


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
        objects, batches = HandleObjects(background), HandleBatches(background)
        connections = Connections(settings, "ingress", model, router, objects, batches)
        await connections.start()
        self._connections = connections
        self._services = connections.services
        self._announcing = asyncio.create_task(announce(self._services, url)) if url is not None else None

    async def __del__(self) -> None:  # Serve awaits it
        if hasattr(self, "_connections"):  # missing where __init__ failed earlier
            await self._connections.stop()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        app = build_api(self._services)
        spare_what_is_loaded()
        return app
