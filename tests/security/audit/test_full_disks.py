"""Where the disk refuses, nothing counts as recorded, and the log goes on as soon as it can."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.errors import AuditUnavailable
from adaptrix_core.security.audit import segment_file
from adaptrix_core.security.audit.log import AuditLog
from adaptrix_core.security.audit.segments import segments_in
from tests.security.audit.logs import Kept, event


class Disk:
    """The calls that reach the disk, of which some fail."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.takes: int | None = None
        """Bytes that a write takes before the disk is full; None for all."""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def write(self, fd: int, data: bytes) -> int:
        if self.takes is None:
            return os.write(fd, data)
        if self.takes == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = os.write(fd, data[: self.takes])
        self.takes -= taken
        return taken

    def fsync(self, fd: int) -> None:
        if "fsync" in self.fails:
            self.fails.remove("fsync")
            raise OSError(errno.EIO, "Input/output error")
        os.fsync(fd)

    def ftruncate(self, fd: int, length: int) -> None:
        if "ftruncate" in self.fails:
            raise OSError(errno.EIO, "Input/output error")
        os.ftruncate(fd, length)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(segment_file, "os", disk)
    return disk


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


@pytest.fixture
def log(kept: Kept) -> AuditLog:
    log = kept.open(segment_bytes=3000)
    log.append([event(0)])
    return log


def targets(kept: Kept) -> list[str]:
    return [record.target for record in kept.records() if record.target]


@pytest.mark.parametrize("room", [0, 1, 200, 450, 600])
def test_a_disk_that_gets_full_takes_all_of_it_or_nothing(kept: Kept, log: AuditLog, disk: Disk, room: int) -> None:
    disk.takes = room
    with pytest.raises(AuditUnavailable, match="No space left"):
        log.append([event(1), event(2)])
    assert targets(kept) == ["math@0"]
    assert kept.fault() is None
    disk.takes = None
    log.append([event(3)])
    assert targets(kept) == ["math@0", "math@3"]
    assert kept.fault(kept.shipped()) is None


def test_a_disk_that_is_full_when_a_file_is_begun(kept: Kept, log: AuditLog, disk: Disk) -> None:
    (path,) = (segment.path for segment in segments_in(kept.directory))
    while path.stat().st_size < 3000:
        log.append([event(6)])
    disk.takes = 100
    with pytest.raises(AuditUnavailable, match="No space left"):
        log.append([event(7)])
    assert kept.fault() is None
    disk.takes = None
    log.append([event(99)])
    assert targets(kept)[-1] == "math@99"
    assert kept.fault() is None


def test_what_a_failed_flush_left_is_taken_back(kept: Kept, log: AuditLog, disk: Disk) -> None:
    disk.fails = {"fsync"}
    with pytest.raises(AuditUnavailable, match="Input/output"):
        log.append([event(1)])
    assert targets(kept) == ["math@0"]
    log.append([event(2)])
    assert targets(kept) == ["math@0", "math@2"]


def test_what_cannot_be_taken_back_is_looked_at_anew(kept: Kept, log: AuditLog, disk: Disk) -> None:
    disk.fails, disk.takes = {"ftruncate"}, 100
    with pytest.raises(AuditUnavailable):
        log.append([event(1)])
    disk.fails, disk.takes = set(), None
    log.append([event(2)])
    assert targets(kept) == ["math@0", "math@2"]
    assert kept.fault(kept.shipped()) is None


REFUSING: dict[str, Callable[[Path], None]] = {
    "a file": lambda directory: directory.write_text("not a directory"),  # type: ignore[arg-type,return-value]
    "below a file": lambda directory: directory.parent.rmdir() or directory.parent.write_text(""),  # type: ignore[func-returns-value]
}


@pytest.mark.parametrize("what", REFUSING)
def test_a_place_that_is_no_directory_is_refused_in_words(tmp_path: Path, what: str) -> None:
    kept = Kept(tmp_path / "root")
    kept.root.mkdir()
    REFUSING[what](kept.directory)
    with pytest.raises(AuditUnavailable, match=r"audit.*cannot be written"):
        kept.open().append([event(0)])


@pytest.mark.skipif(os.geteuid() == 0 and not os.path.isdir("/proc/self"), reason="needs a directory that refuses")
def test_a_read_only_directory_is_refused_in_words() -> None:
    kept = Kept(Path("/proc/self"))  # read-only for root as well
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        kept.open(ships=False).append([event(0)])


def test_a_place_for_checkpoints_that_refuses_holds_nothing_up(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    kept.elsewhere.write_text("not a directory")
    kept.write(3)
    assert "not shipped" in caplog.text
    assert kept.fault() is None
    kept.elsewhere.unlink()
    kept.write(3, first=3)
    assert kept.fault(kept.shipped()) is None
    assert kept.shipped()[0].size > 3
