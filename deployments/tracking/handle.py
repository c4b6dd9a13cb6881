"""Finds the tracker's actor, or makes it; and asks it. Ray's errors become the project's."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import ray
from ray.exceptions import RayActorError

from adaptrix_core.config import Settings
from adaptrix_core.observe.tracker.book import TrackedBatch
from adaptrix_core.observe.tracker.live_view import LiveFigures
from adaptrix_core.observe.tracker.questions import UsageAnswer, UsageQuestion
from deployments.shared.errors import RAY_ERRORS, NotReady, as_core_error
from deployments.tracking.actor import UsageTracker, tracker_fingerprint

logger = logging.getLogger(__name__)

TRACKER_NAME = "adaptrix-tracker"
ANSWER_S = 30.0
"""Longest wait, in seconds, for the tracker, which may just be starting."""
ON_THE_HEAD = {"node:__internal_head__": 0.001}
"""Ray's resource of the head node: the file is on that machine, so the actor is, wherever it restarts."""


class HandleTracker:
    """The tracker of one Serve application."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        """namespace: of the application, so that two on one cluster have a tracker each."""
        self._settings = settings
        self._namespace = namespace
        self._actor: Any = None

    async def add(self, batch: TrackedBatch) -> None:
        """Keep a batch. Raises NotReady, TrackerUnusable, StorageFailed: then it may be sent again."""
        await self._ask("add", batch)

    async def ask(self, question: UsageQuestion) -> UsageAnswer:
        """Figures. Raises InvalidRequest, and what `add` raises."""
        answer: UsageAnswer = await self._ask("ask", question)
        return answer

    async def live(self, tenant: str | None = None) -> list[LiveFigures]:
        """The last minute by adapter. Raises what `add` raises."""
        figures: list[LiveFigures] = await self._ask("live", tenant)
        return figures

    async def _ask(self, method: str, *args: Any) -> Any:
        lost = NotReady("the tracker restarts; send the request again in a moment", code="store_lost")
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._actor is None:
                    self._actor = await self._opened()
                # Not retried by Ray: whoever sends a batch sends it again, and looks for the actor anew.
                return await getattr(self._actor, method).options(max_task_retries=0).remote(*args)
        except TimeoutError:
            raise lost from None
        except RAY_ERRORS as error:
            if isinstance(error, RayActorError):
                self._actor = None
            shown = as_core_error(error)
            raise (lost if isinstance(shown, NotReady) else shown) from None

    async def _opened(self) -> Any:
        """The actor; one that was made with other settings is replaced."""
        remote_class = ray.remote(UsageTracker)
        while True:
            actor = remote_class.options(
                name=TRACKER_NAME,
                namespace=self._namespace,
                lifetime="detached",
                get_if_exists=True,
                max_restarts=-1,
                num_cpus=0,
                resources=ON_THE_HEAD,
            ).remote(self._settings)
            try:
                await actor.retire_unless.options(max_task_retries=0).remote(tracker_fingerprint(self._settings))
                return actor
            except RayActorError:
                logger.info("the tracker's settings changed; starting a new one")
                await asyncio.sleep(0.2)
