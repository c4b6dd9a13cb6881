"""Old files go, the log says so before, and what remains can be verified; no jump of the clock removes anything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adaptrix_core.security.audit.chain import BEFORE, RETENTION
from adaptrix_core.security.audit.log import AuditLog
from adaptrix_core.security.audit.retention import SURE_S, Retention
from adaptrix_core.security.audit.segments import segments_in
from tests.security.audit.logs import Kept, event

DAY_S = 86_400.0
START_S = 1_800_000_000.0


class Clock:
    """Time by the calendar, and time since the process began."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.monotonic_s = 0.0

    def go_on(self, seconds: float) -> None:
        self.now_s += seconds
        self.monotonic_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> Kept:
    return Kept(tmp_path, now=lambda: clock.now_s)


@pytest.fixture
def log(kept: Kept, clock: Clock) -> AuditLog:
    """Ten days of lines, kept for four."""
    log = kept.open(retention=Retention(4.0, lambda: clock.monotonic_s))
    for day in range(10):
        log.append([event(day)])
        clock.go_on(DAY_S)
    return log


def look_twice(log: AuditLog, clock: Clock, seconds: float = SURE_S) -> None:
    log.remove_old()
    clock.go_on(seconds)
    log.remove_old()


def test_a_file_is_followed_by_the_next_each_day(log: AuditLog, kept: Kept) -> None:
    assert len(segments_in(kept.directory)) == 10


def test_what_is_older_goes_and_what_remains_is_good(log: AuditLog, kept: Kept, clock: Clock) -> None:
    shipped = kept.shipped()
    before = segments_in(kept.directory)
    look_twice(log, clock)
    left = segments_in(kept.directory)
    assert left[0] == before[6]  # the next one was begun three days ago, that of the one before four
    said = [record for record in kept.records() if record.action == RETENTION]
    assert [record.details[BEFORE] for record in said] == [left[0].first_seq]
    assert kept.fault() is None
    verified = kept.verify(shipped)
    assert verified.older > 0
    assert verified.confirmed
    clock.go_on(5 * DAY_S)
    look_twice(log, clock)
    assert len(segments_in(kept.directory)) < len(left)
    assert kept.fault() is None
    log.close()
    kept.write(1)
    assert kept.fault() is None


def test_more_than_the_log_says_cannot_go(log: AuditLog, kept: Kept, clock: Clock) -> None:
    look_twice(log, clock)
    segments_in(kept.directory)[0].path.unlink()
    fault = kept.fault()
    assert fault is not None
    assert "does not say" in fault.reason


def test_only_checkpoints_of_lines_that_went_confirm_nothing(log: AuditLog, kept: Kept, clock: Clock) -> None:
    oldest = kept.shipped()[1]
    assert kept.fault([oldest]) is None
    look_twice(log, clock)
    fault = kept.fault([oldest])
    assert fault is not None
    assert "newer one" in fault.reason


@pytest.mark.parametrize(
    "jump",
    [lambda clock: setattr(clock, "now_s", START_S + 5000 * DAY_S), lambda clock: setattr(clock, "now_s", 0.0)],
    ids=["forwards", "backwards"],
)
def test_a_clock_that_jumps_for_a_moment_removes_nothing(
    log: AuditLog, kept: Kept, clock: Clock, jump: Callable[[Clock], None]
) -> None:
    before = segments_in(kept.directory)
    rule = Retention(4000.0, lambda: clock.monotonic_s)
    was = clock.now_s
    jump(clock)
    for _ in range(3):
        assert rule.to_remove(before, datetime.fromtimestamp(clock.now_s, UTC)) == 0
        clock.monotonic_s += SURE_S / 4
    clock.now_s = was
    assert rule.to_remove(before, datetime.fromtimestamp(clock.now_s, UTC)) == 0
    jump(clock)
    clock.monotonic_s += SURE_S / 2  # longer than the hour in all, with the right time in between
    assert rule.to_remove(before, datetime.fromtimestamp(clock.now_s, UTC)) == 0


def test_everything_is_kept_without_a_limit_and_the_last_file_always(kept: Kept, clock: Clock) -> None:
    log = kept.open()
    log.append([event(0)])
    clock.go_on(1000 * DAY_S)
    look_twice(log, clock)
    assert len(segments_in(kept.directory)) == 1
    log.close()
    log = kept.open(retention=Retention(1.0, lambda: clock.monotonic_s))
    log.checkpoint(even_if_silent=True)
    look_twice(log, clock)
    assert len(segments_in(kept.directory)) == 1
