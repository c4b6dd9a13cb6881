"""A batch is sent until it is taken, and counts once; requests wait meanwhile, and nobody waits for them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from adaptrix_core.config.tracker_section import TrackerSettings
from adaptrix_core.errors import StorageFailed
from adaptrix_core.observe.tracker.book import TrackedBatch, UsageBook
from adaptrix_core.observe.tracker.outbox import Outbox
from adaptrix_core.observe.tracker.questions import UsageQuestion
from adaptrix_core.observe.tracker.sums import DAY
from deployments.shared.errors import NotReady
from deployments.tracking import sender as sending
from deployments.tracking import tracker as tracking
from deployments.tracking.sender import Sender
from deployments.tracking.tracker import Tracker
from tests.observe.tracker.requests import MIDNIGHT, request
from tests.serving.conftest import eventually


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of tests."""
    monkeypatch.setattr(sending, "SEND_S", 0.01)
    monkeypatch.setattr(sending, "RETRY_S", 0.01)
    monkeypatch.setattr(tracking, "PRUNE_S", 0.01)


async def requests_in(tracker: Tracker) -> int:
    rows = (await tracker.ask(UsageQuestion(0.0))).rows
    return rows[0].counts["requests"] if rows else 0


async def test_a_batch_whose_answer_is_lost_is_sent_again_and_counts_once(tmp_path: Path) -> None:
    tracker, outbox = Tracker(TrackerSettings(), tmp_path, now=lambda: MIDNIGHT), Outbox(most_sent=10)
    attempts = []

    async def send(batch: TrackedBatch) -> None:
        attempts.append(batch.number)
        if len(attempts) % 3 == 1:
            raise NotReady("the tracker restarts")
        await tracker.add(batch)
        if len(attempts) % 3 == 2:
            raise NotReady("its answer is lost")

    sender = Sender(outbox, send)
    sender.start()
    for _ in range(35):
        outbox.put(request())
    await eventually(lambda: outbox.next_batch() is None)
    assert sorted(set(attempts)) == [1, 2, 3, 4]
    assert len(attempts) == 12
    assert await requests_in(tracker) == 35
    await sender.stop()
    await tracker.close()


async def test_a_full_disk_is_told_once_and_when_it_is_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deployments.tracking")
    tracker, outbox, is_full = Tracker(TrackerSettings(), tmp_path), Outbox(most_waiting=5), True

    async def send(batch: TrackedBatch) -> None:
        if is_full:
            raise StorageFailed("the disk is full", code="storage_full")
        await tracker.add(batch)

    sender = Sender(outbox, send)
    sender.start()
    outbox.put(request())
    await eventually(lambda: "the disk is full" in caplog.text)
    assert [outbox.put(request()) for _ in range(7)] == [True] * 5 + [False] * 2
    is_full = False
    await eventually(lambda: outbox.next_batch() is None)
    assert caplog.text.count("the disk is full") == 1
    assert "takes requests again; 2 had no room" in caplog.text
    assert await requests_in(tracker) == 6
    assert (await tracker.ask(UsageQuestion(0.0))).dropped == 2
    await sender.stop()
    await tracker.close()


async def test_a_process_that_ends_sends_what_is_left(tmp_path: Path) -> None:
    tracker, outbox = Tracker(TrackerSettings(), tmp_path), Outbox(most_sent=2)
    sender = Sender(outbox, tracker.add)
    sender.start()
    for _ in range(5):
        outbox.put(request())
    await sender.stop()
    assert await requests_in(tracker) == 5
    await tracker.close()


async def test_a_process_that_ends_waits_for_no_tracker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "LAST_S", 0.05)
    outbox = Outbox()
    sender = Sender(outbox, lambda _: asyncio.Event().wait())  # type: ignore[arg-type, return-value]
    outbox.put(request())
    await asyncio.wait_for(sender.stop(), 30)


async def test_what_is_too_old_goes_by_itself(tmp_path: Path) -> None:
    tracker = Tracker(TrackerSettings(requests_days=1.0, sums_days=2.0), tmp_path, now=lambda: MIDNIGHT + 10 * DAY)
    await tracker.add(TrackedBatch("one", 1, (request(MIDNIGHT), request(MIDNIGHT + 10 * DAY))))

    async def is_gone() -> bool:
        return await requests_in(tracker) == 1

    await eventually(is_gone)
    await tracker.close()


async def test_a_tracker_whose_file_another_one_has_takes_it_when_that_lets_go(tmp_path: Path) -> None:
    first = UsageBook(tmp_path / "tracker" / "usage.db")
    tracker, outbox = Tracker(TrackerSettings(), tmp_path), Outbox()
    sender = Sender(outbox, tracker.add)
    outbox.put(request())
    sender.start()
    await asyncio.sleep(0)
    first.close()
    await eventually(lambda: outbox.next_batch() is None)
    assert await requests_in(tracker) == 1
    await sender.stop()
    await tracker.close()
