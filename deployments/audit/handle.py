"""Finds the keeper of the audit log, or makes it: from any process, at any time."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from ray.exceptions import RayActorError, RayError

from adaptrix_core.config import Settings
from adaptrix_core.security.audit.record import AuditEvent
from deployments.audit.actor import AuditKeeper
from deployments.detached_actor import open_actor
from deployments.ray_seam import ON_THE_HEAD
from deployments.shared.errors import as_core_error

logger = logging.getLogger(__name__)

KEEPER_NAME = "adaptrix-audit"
ANSWER_S = 20.0
"""Longest wait, in seconds, for an answer of the keeper, which may just be restarting."""
_CODE_VERSION = "audit-1"
"""Version of the actor's interface: changed with its methods, so that an upgrade replaces a running keeper."""


class HandleAudit:
    """The keeper of the audit log, through its actor handle; a sink of trails."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        self._settings = settings
        self._namespace = namespace
        self._keeper: Any = None

    async def open(self) -> None:
        """Find the keeper, or make it. One that cannot be made is made when something is to be recorded."""
        try:
            async with asyncio.timeout(ANSWER_S):
                self._keeper = await open_keeper(self._settings, self._namespace)
        except (RayError, TimeoutError) as error:
            logger.error("the keeper of the audit log does not answer, so administrators are refused: %s", error)

    async def record(self, events: Sequence[AuditEvent], is_urgent: bool) -> None:
        """Have events written. Raises the project's errors, TimeoutError."""
        async with asyncio.timeout(ANSWER_S):
            try:
                await self._ask(events, is_urgent)
            except RayActorError:
                # It was lost on the way. Asked again, an event may be there twice, which is better than not at all.
                self._keeper = None
                await self._ask(events, is_urgent)

    async def _ask(self, events: Sequence[AuditEvent], is_urgent: bool) -> None:
        try:
            if self._keeper is None:
                self._keeper = await open_keeper(self._settings, self._namespace)
            await self._keeper.record.options(max_task_retries=0).remote(list(events), is_urgent)
        except RayActorError:
            raise
        except RayError as error:
            raise as_core_error(error) from None


async def open_keeper(settings: Settings, namespace: str) -> Any:
    """The keeper's handle; makes the actor if there is none, and replaces one that was made with other settings."""
    wanted = fingerprint(settings)
    return await open_actor(
        AuditKeeper,
        (settings, wanted),
        wanted,
        name=KEEPER_NAME,
        namespace=namespace,
        num_cpus=0,
        resources=ON_THE_HEAD,
    )


def fingerprint(settings: Settings) -> str:
    """Hash of everything that a running keeper cannot change."""
    parts = (_CODE_VERSION, settings.audit.model_dump_json(), settings.observe.model_dump_json())
    told = "\0".join([*parts, str(settings.security.api_keys_file)])
    return hashlib.sha256(told.encode()).hexdigest()
