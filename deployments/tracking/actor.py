"""The tracker as a named, detached actor: it outlives ingresses and deployments, and restarts from its file.

It is asked to retire when its settings change, as the adapter store is.
"""

from __future__ import annotations

import hashlib

import ray

from adaptrix_core.config import Settings
from adaptrix_core.observe.tracker.book import TrackedBatch
from adaptrix_core.observe.tracker.live_view import LiveFigures
from adaptrix_core.observe.tracker.questions import UsageAnswer, UsageQuestion
from deployments.tracking.tracker import Tracker

_CODE_VERSION = "tracker-1"
"""Version of the actor's interface: changed with its methods, their arguments or results, so that an upgrade replaces a
running tracker."""


def tracker_fingerprint(settings: Settings) -> str:
    """Hash of everything that a running tracker cannot change."""
    text = f"{_CODE_VERSION}\0{settings.adapters.state_dir}\0{settings.tracker.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()


class UsageTracker:
    """The actor's class; what its methods do is said by `Tracker`."""

    def __init__(self, settings: Settings) -> None:
        self._fingerprint = tracker_fingerprint(settings)
        self._tracker = Tracker(settings.tracker, settings.adapters.state_dir)

    async def retire_unless(self, wanted: str) -> None:
        """End this actor for good if it was made with other settings; the next process that asks makes a new one."""
        if wanted != self._fingerprint:
            await self._tracker.close()
            ray.actor.exit_actor()

    async def add(self, batch: TrackedBatch) -> None:
        """Keep a batch."""
        await self._tracker.add(batch)

    async def ask(self, question: UsageQuestion) -> UsageAnswer:
        """Figures."""
        return await self._tracker.ask(question)

    async def live(self, tenant: str | None) -> list[LiveFigures]:
        """The last minute."""
        return await self._tracker.live(tenant)
