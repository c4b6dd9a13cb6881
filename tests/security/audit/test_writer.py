"""Many threads write one log: each is told when its events are on the disk, few flushes do for all."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adaptrix_core.errors import AuditUnavailable
from adaptrix_core.security.audit import segment_file, writer
from adaptrix_core.security.audit.chain import CHECKPOINT, DROPPED
from adaptrix_core.security.audit.record import AuditEvent
from adaptrix_core.security.audit.writer import AuditWriter
from tests.security.audit.logs import Kept, event


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_every_event_of_every_thread_is_there_once_it_is_confirmed(kept: Kept) -> None:
    writing = AuditWriter(kept.open(segment_bytes=20_000), checkpoint_s=60)

    def work(thread: int) -> None:
        for number in range(40):
            target = f"{thread}/{number}"
            written = writing.record([AuditEvent("test.done", "done", target=target)], is_urgent=number % 4 == 0)
            if number % 10 == 0:
                written.result(timeout=60)
                assert target in {record.target for record in kept.records()}

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    writing.close()
    targets = [record.target for record in kept.records() if record.action == "test.done"]
    assert sorted(targets) == sorted(f"{thread}/{number}" for thread in range(8) for number in range(40))
    for thread in range(8):  # each thread's own in their order
        mine = [target for target in targets if target.startswith(f"{thread}/")]
        assert mine == [f"{thread}/{number}" for number in range(40)]
    assert kept.fault(kept.shipped()) is None
    assert kept.verify().unsigned == 0  # a checkpoint is the last that a writer does


def test_events_of_one_moment_share_a_flush(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = []

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        def fsync(self, fd: int) -> None:
            flushes.append(fd)
            os.fsync(fd)

    writing = AuditWriter(kept.open(), checkpoint_s=60)
    writing.record([event(0)], is_urgent=True).result(timeout=60)
    monkeypatch.setattr(segment_file, "os", Counting())
    monkeypatch.setattr(writer, "LINGER_S", 0.5)
    futures = [writing.record([event(number)]) for number in range(100)]
    for future in futures:
        future.result(timeout=60)
    assert 1 <= len(flushes) <= 10
    writing.close()


def test_what_is_urgent_does_not_wait_for_company(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LINGER_S", 3600.0)
    writing = AuditWriter(kept.open(), checkpoint_s=60)
    ordinary = writing.record([event(0)])
    writing.record([event(1)], is_urgent=True).result(timeout=60)
    assert ordinary.done()  # and takes along who waits
    writing.close()


def test_when_too_many_wait_they_are_dropped_and_counted_and_urgent_ones_are_not(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 10)
    log = kept.open()
    may_write = threading.Event()
    append = log.append

    def slow(events: list[AuditEvent]) -> None:
        may_write.wait(60)
        append(events)

    monkeypatch.setattr(log, "append", slow)
    writing = AuditWriter(log, checkpoint_s=60)
    first = writing.record([event(0)], is_urgent=True)
    many = [writing.record([event(number)]) for number in range(1, 40)]
    urgent = writing.record([event(99)], is_urgent=True)
    may_write.set()
    urgent.result(timeout=60)
    first.result(timeout=60)
    refused = [future for future in many if future.exception(timeout=60) is not None]
    assert all(isinstance(future.exception(), AuditUnavailable) for future in refused)
    assert 28 <= len(refused) <= 38
    writing.record([event(100)]).result(timeout=60)
    writing.close()
    counted = [record.details["events"] for record in kept.records() if record.action == DROPPED]
    assert counted == [len(refused)]


def test_where_the_log_cannot_be_written_everybody_is_told_and_the_ordinary_ones_are_counted(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "root")
    kept.root.mkdir()
    kept.directory.write_text("not a directory")
    writing = AuditWriter(kept.open(), checkpoint_s=60)
    for is_urgent in (False, True):
        with pytest.raises(AuditUnavailable):
            writing.record([event(0)], is_urgent).result(timeout=60)
    kept.directory.unlink()
    writing.record([event(1)], is_urgent=True).result(timeout=60)
    writing.close()
    records = kept.records()
    assert [record.target for record in records if record.target] == ["math@1"]
    assert [record.details["events"] for record in records if record.action == DROPPED] == [1]


def test_a_fault_of_ours_fails_the_event_and_not_the_writer(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    log = kept.open()
    writing = AuditWriter(log, checkpoint_s=60)
    with monkeypatch.context() as patch:
        patch.setattr(log, "append", lambda events: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            writing.record([event(0)], is_urgent=True).result(timeout=60)
    writing.record([event(1)], is_urgent=True).result(timeout=60)
    writing.close()


def test_a_closed_writer_says_so(kept: Kept) -> None:
    writing = AuditWriter(kept.open(), checkpoint_s=60)
    waiting = writing.record([event(0)])
    writing.close()
    assert waiting.result(timeout=0) is None  # what was asked for before is done
    with pytest.raises(AuditUnavailable, match="closed"):
        writing.record([event(1)]).result(timeout=0)


def test_checkpoints_follow_events_in_time_and_silence_is_proven_by_the_hour(kept: Kept) -> None:
    clock = [0.0]
    writing = AuditWriter(kept.open(), checkpoint_s=0.01, monotonic=lambda: clock[0])

    def signed() -> int:
        return sum(record.action == CHECKPOINT for record in kept.records())

    def until(count: int) -> None:
        done = threading.Event()
        for _ in range(6000):
            if signed() >= count:
                return
            done.wait(0.01)
        raise AssertionError(f"{signed()} checkpoints instead of {count}")

    writing.record([event(0)], is_urgent=True).result(timeout=60)
    clock[0] = 1.0
    until(1)
    clock[0] = 2.0
    writing.record([event(1)], is_urgent=True).result(timeout=60)
    until(2)
    clock[0] = 3000.0
    writing.record([event(2)], is_urgent=True).result(timeout=60)
    until(3)
    clock[0] = 6000.0  # nothing since, for less than an hour
    clock[0] = 3000.0 + 3600.0
    until(4)
    writing.close()
    assert signed() == 4
    assert [checkpoint.size for checkpoint in kept.shipped()] == sorted({c.size for c in kept.shipped()})
