"""The tracker as an actor of a real Ray: killed again and again, it counts every request once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from adaptrix_core.config import load_settings
from adaptrix_core.observe.tracker.outbox import Outbox
from adaptrix_core.observe.tracker.questions import UsageQuestion
from deployments.shared.errors import NotReady
from deployments.tracking import sender as sending
from deployments.tracking.handle import TRACKER_NAME, HandleTracker
from deployments.tracking.sender import Sender
from tests.observe.tracker.requests import request
from tests.serving.conftest import eventually
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

EVERYTHING = UsageQuestion(0.0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, namespace="tests", log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


async def requests_in(tracker: HandleTracker) -> int:
    try:
        rows = (await tracker.ask(EVERYTHING)).rows
    except NotReady:  # it is just restarting
        return -1
    return rows[0].counts["requests"] if rows else 0


@pytest.mark.parametrize("no_restart", [False, True], ids=["restarted by Ray", "made anew"])
async def test_kills_lose_no_request_and_count_none_twice(
    cluster: None, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_restart: bool
) -> None:
    monkeypatch.setattr(sending, "SEND_S", 0.02)
    monkeypatch.setattr(sending, "RETRY_S", 0.1)
    settings = load_settings(world.settings(tracker={"file": str(tmp_path / "usage.db")}))
    namespace = f"tests-{no_restart}"
    tracker, outbox = HandleTracker(settings, namespace), Outbox(most_sent=7)
    sender = Sender(outbox, tracker.add)
    sender.start()
    sent = 0
    for _ in range(3):
        for _ in range(100):
            outbox.put(request())
            sent += 1
            await asyncio.sleep(0.002)
        ray.kill(ray.get_actor(TRACKER_NAME, namespace), no_restart=no_restart)

    async def is_all_there() -> bool:
        return outbox.next_batch() is None and await requests_in(tracker) == sent

    await eventually(is_all_there, timeout_s=120)
    await sender.stop()
    ray.kill(ray.get_actor(TRACKER_NAME, namespace))


async def test_other_settings_make_another_tracker(cluster: None, world: World, tmp_path: Path) -> None:
    before, after = (
        HandleTracker(load_settings(world.settings(tracker={"file": str(tmp_path / name)})), "tests-settings")
        for name in ("one.db", "other.db")
    )
    assert await requests_in(before) == 0
    assert await requests_in(after) == 0
    assert (tmp_path / "other.db").exists()
    ray.kill(ray.get_actor(TRACKER_NAME, "tests-settings"))
