"""The deployment beside the requests: one process that keeps the objects of tenants.

One replica at a time has the files open; where two live for a moment, in an update, the younger one waits.
"""

from __future__ import annotations

from typing import Any

from adaptrix_core.config import Settings
from adaptrix_core.observe.logs import start_logging
from deployments.objects.tenant_objects import TenantObjects
from deployments.shared.loopback import keep_to_loopback


class Background:
    """The one process of a cluster that works on what tenants have left with the server."""

    def __init__(self, settings: Settings) -> None:
        keep_to_loopback()
        start_logging(settings.observe)
        self._objects = TenantObjects(settings.adapters.state_dir, settings.objects)

    async def ask_objects(self, method: str, args: tuple[Any, ...]) -> Any:
        """The result of a method of `TenantObjects`, for `ingress/handles.py`."""
        return await getattr(self._objects, method)(*args)
