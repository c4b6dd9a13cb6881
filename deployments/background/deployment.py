"""The deployment beside the requests: one process that keeps the objects of tenants, and works on their batches.

One replica at a time has the files open; where two live for a moment, in an update, the younger one waits.
"""

from __future__ import annotations

from typing import Any

from ray.serve.handle import DeploymentHandle

from adaptrix_core.config import Settings
from deployments.batches.lowest_priority import LowestPriority
from deployments.batches.own_api import OwnApi
from deployments.batches.runner import BatchRunner
from deployments.generation.pipeline import Pipeline
from deployments.ingress.connections import Connections
from deployments.ingress.handles import HandleReplicas
from deployments.objects.batch_ledger import BatchLedger
from deployments.objects.keeper import Keeper
from deployments.objects.tenant_objects import TenantObjects
from deployments.shared.gc_tuning import spare_what_is_loaded


class Background:
    """The one process of a cluster that works on what tenants have left with the server."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: Settings, model: DeploymentHandle, router: DeploymentHandle | None = None
    ) -> None:
        keeper = Keeper(settings.adapters.state_dir, settings.objects)
        self._objects = TenantObjects(keeper)
        self._batches = BatchLedger(keeper)
        self._connections = Connections(settings, "background", model, router, self._objects, self._batches)
        await self._connections.start()
        services = self._connections.services
        pipeline = Pipeline(LowestPriority(HandleReplicas(model)), services.metrics.continuations.inc)
        self._runner = BatchRunner(self._batches, OwnApi(services, pipeline), settings, services.keys)
        self._runner.start()
        spare_what_is_loaded()

    async def __del__(self) -> None:  # Serve awaits it
        if hasattr(self, "_connections"):  # missing where __init__ failed earlier
            await self._connections.stop()

    async def ask_objects(self, method: str, args: tuple[Any, ...]) -> Any:
        """The result of a method of `TenantObjects`, for `ingress/handles.py`."""
        return await getattr(self._objects, method)(*args)

    async def ask_batches(self, method: str, args: tuple[Any, ...]) -> Any:
        """The result of a method of `BatchLedger`, for `ingress/handles.py`."""
        return await getattr(self._batches, method)(*args)
