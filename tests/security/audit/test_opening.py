"""A log is taken up where it was left: a half-written end is put aside, with anything else wrong it is not gone on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.errors import AuditUnavailable
from adaptrix_core.security.audit.chain import RECOVERED
from adaptrix_core.security.audit.segments import segment_at, segments_in
from tests.security.audit.logs import Kept, changed, event, rewrite


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    kept = Kept(tmp_path)
    kept.write(20, together=5)
    return kept


def newest(kept: Kept) -> Path:
    return segments_in(kept.directory)[-1].path


@pytest.mark.parametrize(
    "torn", [b"{", b'{"action":"adapter.load","act', b"\0" * 4096, b"\0\n", b"\xff\xfe", b"[" * 9999]
)
def test_a_half_written_end_is_put_aside_and_recorded(kept: Kept, torn: bytes) -> None:
    before = len(kept.records())
    with newest(kept).open("ab") as file:
        file.write(torn)
    kept.write(1, first=99)
    records = kept.records()
    recovered = [record for record in records if record.action == RECOVERED]
    assert [record.details["bytes"] for record in recovered] == [len(torn)]
    aside = kept.directory / str(recovered[0].details["file"])
    assert aside.read_bytes() == torn
    assert kept.fault(kept.shipped()) is None
    assert len(records) == before + 3  # that it was put aside, the event, a checkpoint


def test_a_half_written_end_is_none_that_verifying_complains_of(kept: Kept) -> None:
    with newest(kept).open("ab") as file:
        file.write(b'{"half')
    half_written = kept.verify().half_written
    assert half_written is not None
    assert half_written.file == newest(kept).name


@pytest.mark.parametrize("begun", [b"", b'{"action":"log.seg'])
def test_a_file_that_was_hardly_begun_is_begun_again(kept: Kept, begun: bytes) -> None:
    number = kept.records()[-1].seq + 1
    segment_at(kept.directory, number).path.write_bytes(begun)
    assert kept.fault() is None
    kept.write(1, first=99)
    assert kept.fault(kept.shipped()) is None
    assert [record.target for record in kept.records() if record.target == "math@99"] == ["math@99"]


ALTERATIONS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a line is no record and others follow": lambda lines: [*lines[:-2], b"{}\n", *lines[-1:]],
    "a line was edited": lambda lines: [*lines[:-2], changed(lines[-2], target="other"), *lines[-1:]],
    "a line is gone": lambda lines: [*lines[:-2], *lines[-1:]],
    "the first line is another": lambda lines: [changed(lines[0], details={}), *lines[1:]],
    "it is cut off behind what was shipped": lambda lines: lines[:-2],  # the last line is the checkpoint itself
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_a_log_that_was_altered_is_not_gone_on_with(kept: Kept, what: str) -> None:
    rewrite(newest(kept), ALTERATIONS[what])
    log = kept.open()
    before = newest(kept).read_bytes()
    for _ in range(2):  # not the second time either
        with pytest.raises(AuditUnavailable, match="adaptrix audit verify"):
            log.append([event(0)])
    assert newest(kept).read_bytes() == before


def test_a_log_that_is_gone_while_it_is_written_is_not_begun_anew(kept: Kept) -> None:
    log = kept.open()
    log.append([event(0)])
    shutil.rmtree(kept.directory)
    with pytest.raises(AuditUnavailable, match="cannot be written"):
        log.append([event(1)])
    for _ in range(2):
        with pytest.raises(AuditUnavailable, match="removed or cut off"):
            log.append([event(1)])
    assert segments_in(kept.directory) == []


def test_a_file_that_others_write_to_gets_no_line_more(kept: Kept) -> None:
    log = kept.open()
    log.append([event(0)])
    with newest(kept).open("ab") as file:
        file.write(b"x\n")
    with pytest.raises(AuditUnavailable, match="changed by somebody else"):
        log.append([event(1)])
    log.append([event(2)])  # opened anew: what is no line is put aside
    assert kept.fault(kept.shipped()) is None


def test_two_cannot_write_one_log(kept: Kept) -> None:
    log = kept.open()
    log.append([event(0)])
    with pytest.raises(AuditUnavailable, match="another process"):
        kept.open().append([event(1)])
    log.append([event(2)])
    assert kept.fault() is None


def test_another_key_does_not_go_on_with_the_log(kept: Kept) -> None:
    stranger = Kept(kept.root)
    with pytest.raises(AuditUnavailable, match="another key"):
        stranger.open().append([event(0)])


def test_shipped_checkpoints_that_were_meddled_with_hold_nothing_up(kept: Kept) -> None:
    (file,) = kept.elsewhere.iterdir()
    with file.open("ab") as lines:
        lines.write(json.dumps({"audit_checkpoint": "nonsense"}).encode() + b'\n{"audit_checkpoint": "ha')
    kept.write(1, first=50)
    log = kept.open()
    log.append([event(51)])  # the last good one was found, and agreed with
    log.checkpoint()
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")]
    assert all(line["audit_checkpoint"].startswith("adaptrix/audit/") for line in lines[-2:])
    assert kept.fault() is None


def test_a_clock_that_went_backwards_changes_the_times_and_not_the_order(tmp_path: Path) -> None:
    moments = iter(range(2_000_000_000, 0, -50_000))
    kept = Kept(tmp_path, now=lambda: float(next(moments)))
    kept.write(30)
    records = kept.records()
    assert kept.fault(kept.shipped()) is None
    assert [record.seq for record in records] == list(range(len(records)))
    assert records[0].time > records[-1].time
    kept.write(3, first=30)
    assert kept.fault() is None
