"""Whatever is altered in a log that a checkpoint vouches for is found, and the first bad line is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptrix_core.security.audit.chain import CHECKPOINT, CHECKPOINT_LINES, SEGMENT
from adaptrix_core.security.audit.record import hash_of
from adaptrix_core.security.audit.segments import segments_in
from tests.security.audit.logs import Kept, chained_anew, changed, event, rewrite


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Three files at least, checkpoints within them, and one at the end."""
    kept = Kept(tmp_path_factory.mktemp("whole"))
    for part in range(4):
        kept.write(8, first=8 * part, together=4)
    assert len(segments_in(kept.directory)) >= 3
    assert kept.fault() is None
    return kept


@pytest.fixture
def kept(whole: Kept, tmp_path: Path) -> Kept:
    """A copy of it, to be altered."""
    shutil.copytree(whole.root, tmp_path, dirs_exist_ok=True)
    return Kept(tmp_path, whole.key)


def test_a_changed_byte_anywhere_is_found_where_it_is(kept: Kept) -> None:
    lines = kept.lines()
    for position, (path, index, line) in enumerate(lines[:-1]):
        whole = path.read_bytes()
        for text in (b"math", b"team", b'"done"', b'"noted"', b'"prev":"', b"T08"):
            at = line.find(text)
            if at < 0:
                continue
            worse = line[: at + len(text)] + bytes([line[at + len(text)] ^ 1]) + line[at + len(text) + 1 :]
            rewrite(path, lambda old, index=index, worse=worse: [*old[:index], worse, *old[index + 1 :]])  # type: ignore[misc]
            fault = kept.fault()
            assert fault is not None, (text, position)
            assert position - 1 <= fault.place.seq <= position, (text, fault)
            path.write_bytes(whole)
    assert kept.fault() is None


Alteration = Callable[[list[bytes]], list[bytes]]

ALTERATIONS: dict[str, tuple[Alteration, int]] = {
    "edited": (lambda lines: [*lines[:3], changed(lines[3], target="other"), *lines[4:]], 4),
    "deleted": (lambda lines: [*lines[:3], *lines[4:]], 4),
    "inserted": (lambda lines: [*lines[:3], changed(lines[3], target="forged"), *lines[3:]], 4),
    "repeated": (lambda lines: [*lines[:4], *lines[3:]], 5),
    "reordered": (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], 4),
    "not JSON": (lambda lines: [*lines[:3], b"nothing\n", *lines[4:]], 4),
    "in another form": (lambda lines: [*lines[:3], lines[3].replace(b",", b", ", 1), *lines[4:]], 4),
    "with a key twice": (lambda lines: [*lines[:3], b'{"action":"a",' + lines[3][1:], *lines[4:]], 4),
    "with a field more": (lambda lines: [*lines[:3], changed(lines[3], more=1), *lines[4:]], 4),
    "empty": (lambda lines: [*lines[:3], b"\n", *lines[3:]], 4),
    "nested without end": (lambda lines: [*lines[:3], b"[" * 100_000 + b"\n", *lines[4:]], 4),
    "longer than any": (lambda lines: [*lines[:3], b"x" * 300_000 + b"\n", *lines[4:]], 4),
    "with its end cut off": (lambda lines: lines[:-1], 0),
    "emptied": (lambda lines: [], 1),
}


@pytest.mark.parametrize("what", ALTERATIONS)
def test_a_file_in_the_middle_that_was_altered_is_found(kept: Kept, what: str) -> None:
    alter, named = ALTERATIONS[what]
    segment, following = segments_in(kept.directory)[1:3]
    rewrite(segment.path, alter)
    fault = kept.fault()
    assert fault is not None
    where = (segment.path.name, named) if named else (following.path.name, 1)  # an end that is cut off lacks afterwards
    assert (fault.place.file, fault.place.line) == where


def test_files_that_were_swapped_renamed_removed_or_added_are_found(kept: Kept) -> None:
    first, second, third = (segment.path for segment in segments_in(kept.directory)[:3])
    copy = kept.root / "copy"
    shutil.copytree(kept.directory, copy)

    def found(name: str) -> None:
        fault = kept.fault()
        assert fault is not None
        assert fault.place.file == name
        shutil.rmtree(kept.directory)
        shutil.copytree(copy, kept.directory)

    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    found(first.name)
    second.unlink()
    found(third.name)
    first.unlink()
    found(second.name)  # nothing in the log says that retention has removed it
    second.rename(kept.directory / "audit-0000000000000001.jsonl")
    found("audit-0000000000000001.jsonl")
    shutil.copy(second, kept.directory / "audit-0000000000009999.jsonl")
    found("audit-0000000000009999.jsonl")


def test_lines_chained_anew_without_the_key_are_found_at_the_next_checkpoint(kept: Kept) -> None:
    segment = segments_in(kept.directory)[1]

    def forge(lines: list[bytes]) -> list[bytes]:
        forged = [changed(lines[2], target="other"), *lines[3:]]
        return [*lines[:2], *chained_anew(forged, hash_of(lines[1]))]

    rewrite(segment.path, forge)
    fault = kept.fault()
    assert fault is not None
    assert fault.place.file == segment.path.name
    assert fault.place.line <= 3
    assert "checkpoint" in fault.reason


def test_checkpoints_cannot_be_left_out_for_long(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    log = kept.open(segment_bytes=10**7)
    log.append([event(number) for number in range(2 * CHECKPOINT_LINES)])
    log.close()
    (segment,) = segments_in(kept.directory)

    def without_checkpoints(lines: list[bytes]) -> list[bytes]:
        left = [line for line in lines if json.loads(line)["action"] != CHECKPOINT]
        assert len(left) < len(lines)
        numbered = [changed(line, seq=seq) for seq, line in enumerate(left)]
        return [numbered[0], *chained_anew(numbered[1:], hash_of(numbered[0]))]

    rewrite(segment.path, without_checkpoints)
    fault = kept.fault()
    assert fault is not None
    assert fault.place.seq == CHECKPOINT_LINES + 1
    assert "no checkpoint" in fault.reason


def test_another_key_vouches_for_nothing(tmp_path: Path) -> None:
    forger, kept = Kept(tmp_path), Kept(tmp_path)
    forger.write(3)
    fault = kept.fault()
    assert fault is not None
    assert "another key" in fault.reason
    assert (fault.place.line, fault.place.seq) == (1, 0)


def test_a_note_of_another_log_by_the_same_key_is_not_taken(tmp_path: Path) -> None:
    kept, other = Kept(tmp_path / "a"), Kept(tmp_path / "b")
    other.key = kept.key
    kept.write(1)
    other.write(1)
    notes = [record.details["note"] for record in other.records() if record.action == CHECKPOINT]
    (segment,) = segments_in(kept.directory)
    rewrite(segment.path, lambda lines: [*lines[:-1], changed(lines[-1], details={"note": notes[0]})])
    fault = kept.fault()
    assert fault is not None
    assert "another log" in fault.reason


def test_an_end_that_was_cut_off_is_found_by_a_checkpoint_that_was_shipped(kept: Kept) -> None:
    last = segments_in(kept.directory)[-1]
    shipped = kept.shipped()
    whole = last.path.read_bytes().splitlines(keepends=True)
    for left in range(len(whole) - 1):  # the last line is the checkpoint itself
        last.path.write_bytes(b"".join(whole[:left]))
        fault = kept.fault(shipped)
        assert fault is not None, left
        assert "cut off" in fault.reason
        assert fault.place.seq == max(last.first_seq + left, last.first_seq)


def test_an_older_copy_in_its_place_is_found_by_a_checkpoint_that_was_shipped(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.write(5)
    shutil.copytree(kept.directory, tmp_path / "older")
    kept.write(5, first=5)
    shutil.rmtree(kept.directory)
    shutil.move(tmp_path / "older", kept.directory)
    assert kept.fault() is None  # by itself it is a good log
    assert kept.fault(kept.shipped()) is not None


def test_a_log_written_anew_with_the_right_key_is_found_by_a_checkpoint_that_was_shipped(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.write(5)
    shipped = kept.shipped()
    shutil.rmtree(kept.directory)
    kept.write(9, ships=False)
    assert kept.fault() is None
    fault = kept.fault(shipped)
    assert fault is not None
    assert "rewritten" in fault.reason


def test_lines_resigned_with_the_right_key_are_found_by_a_checkpoint_that_was_shipped(tmp_path: Path) -> None:
    kept, liar = Kept(tmp_path / "a"), Kept(tmp_path / "a")
    kept.write(5)
    shipped = kept.shipped()
    liar.key = kept.key
    (segment,) = segments_in(kept.directory)
    rewrite(segment.path, lambda lines: [*lines[:1]])  # the same log, begun alike, continued otherwise
    liar.write(9, first=100, ships=False)
    assert liar.fault() is None
    assert liar.fault(shipped) is not None


def test_since_reads_only_from_the_file_of_the_first_checkpoint_on(kept: Kept) -> None:
    newest = kept.shipped()[-1]
    segments_in(kept.directory)[0].path.write_bytes(b"not looked at")
    verified = kept.verify([newest])
    assert verified.confirmed == (newest,)
    assert verified.first_seq > 0
    assert kept.fault() is not None


def test_what_a_pipe_or_a_link_to_nowhere_in_the_place_of_a_file_is_found(kept: Kept) -> None:
    path = segments_in(kept.directory)[1].path
    path.unlink()
    os.mkfifo(path)
    fault = kept.fault()
    assert fault is not None
    assert fault.place.file == path.name
    path.unlink()
    path.symlink_to("/nowhere")
    assert kept.fault() is not None


def test_every_file_begins_with_a_checkpoint_of_all_before(kept: Kept) -> None:
    for segment in segments_in(kept.directory):
        first = next(record for record in kept.records() if record.seq == segment.first_seq)
        assert first.action == SEGMENT
        assert f"\n{first.seq}\n" in str(first.details["note"])
