"""Whether the model is scaled to zero: it was deployed, needs no replica now, and gets one with the next request."""

from __future__ import annotations

import asyncio

from ray import serve
from ray.serve.schema import DeploymentStatus

AWAKE_OR_ASLEEP = (DeploymentStatus.HEALTHY, DeploymentStatus.UPSCALING, DeploymentStatus.DOWNSCALING)
"""States of a deployment that has once been ready: having no replica then means scaled to zero. A deployment that is
still starting, or cannot start, is in another state."""


class ScaledToZero:
    """Asks the Serve controller."""

    def __init__(self, app_name: str, deployment_name: str) -> None:
        self._app_name = app_name
        self._deployment_name = deployment_name

    async def is_asleep(self) -> bool:
        """Whether the model is scaled to zero, so that having no replica is no fault."""
        status = await asyncio.to_thread(serve.status)
        application = status.applications.get(self._app_name)
        deployment = None if application is None else application.deployments.get(self._deployment_name)
        return deployment is not None and deployment.status in AWAKE_OR_ASLEEP
