"""Finds the tracker's actor, or makes it; and asks it. Ray's errors become the project's."""

from __future__ import annotations

import asyncio
from typing import Any

from ray.exceptions import RayActorError

from adaptrix_core.config import Settings
from adaptrix_core.observe.tracker.book import TrackedBatch
from adaptrix_core.observe.tracker.live_view import LiveFigures
from adaptrix_core.observe.tracker.questions import UsageAnswer, UsageQuestion
from deployments.detached_actor import open_actor
from deployments.ray_seam import ON_THE_HEAD
from deployments.shared.errors import RAY_ERRORS, NotReady, as_core_error
from deployments.tracking.actor import UsageTracker, tracker_fingerprint

TRACKER_NAME = "adaptrix-tracker"
ANSWER_S = 30.0
"""Longest wait, in seconds, for the tracker, which may just be starting."""


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
                    self._actor = await open_actor(
                        UsageTracker,
                        (self._settings,),
                        tracker_fingerprint(self._settings),
                        name=TRACKER_NAME,
                        namespace=self._namespace,
                        num_cpus=0,
                        resources=ON_THE_HEAD,
                    )
                # Not retried by Ray: whoever sends a batch sends it again, and looks for the actor anew.
                return await getattr(self._actor, method).options(max_task_retries=0).remote(*args)
        except TimeoutError:
            raise lost from None
        except RAY_ERRORS as error:
            if isinstance(error, RayActorError):
                self._actor = None
            shown = as_core_error(error)
            raise (lost if isinstance(shown, NotReady) else shown) from None
