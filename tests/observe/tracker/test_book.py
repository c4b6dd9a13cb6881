"""The tracker's file takes every batch once, whole or not at all, whatever is sent and whatever becomes of the disk."""

from __future__ import annotations

import math
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from adaptrix_core.errors import AdaptrixError, StorageFailed, TrackerUnusable
from adaptrix_core.observe.tracker.book import TrackedBatch, UsageBook
from adaptrix_core.observe.tracker.questions import UsageQuestion, ask
from adaptrix_core.observe.tracker.request_rows import request_rows
from adaptrix_core.observe.tracker.sums import DAY
from tests.observe.tracker.requests import MIDNIGHT, batch, request

EVERYTHING = UsageQuestion(0.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tracker" / "usage.db"


def requests_in(path: Path) -> int:
    rows = ask(path, EVERYTHING).rows
    return rows[0].counts["requests"] if rows else 0


def test_a_batch_that_comes_again_changes_nothing(path: Path) -> None:
    book = UsageBook(path)
    assert book.add(batch([request()]))
    assert not book.add(batch([request()]))
    assert book.add(batch([request()], sender="another"))
    book.close()
    book = UsageBook(path)
    assert not book.add(batch([request()])), "after a restart too"
    assert requests_in(path) == 2
    book.close()


def test_a_writer_that_is_killed_leaves_whole_batches(path: Path) -> None:
    """Killed again and again in mid-write; the sender sends on from the first batch that it has no answer for."""
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from adaptrix_core.observe.tracker.book import UsageBook\n"
        "from tests.observe.tracker.requests import batch, request\n"
        "book = UsageBook(Path(sys.argv[1]))\n"
        "number = int(sys.argv[2])\n"
        "while True:\n"
        "    book.add(batch([request(adapter=f'a{n % 7}') for n in range(20)], number))\n"
        "    print(number, flush=True)\n"
        "    number += 1\n"
    )
    answered = 0
    for kill in range(1, 4):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(path), str(answered + 1)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        for _ in range(kill * 5):
            answered = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert requests_in(path) % 20 == 0
    book = UsageBook(path)
    for number in range(answered + 1, answered + 50):
        book.add(batch([request(adapter=f"a{n % 7}") for n in range(20)], number))
    assert requests_in(path) == 20 * (answered + 49) == len(list(request_rows(path, 0.0)))
    book.close()


def test_only_one_writes(path: Path) -> None:
    book = UsageBook(path)
    with pytest.raises(TrackerUnusable) as refused:
        UsageBook(path)
    assert refused.value.code == "tracker_in_use"
    book.close()
    UsageBook(path).close()


def test_readers_do_not_wait_for_the_writer(path: Path) -> None:
    book = UsageBook(path)
    book.add(batch([request()]))
    book._connection.execute("BEGIN IMMEDIATE")
    assert requests_in(path) == 1
    book._connection.execute("ROLLBACK")
    book.close()


def test_a_full_disk_loses_nothing_that_is_sent_again(path: Path) -> None:
    book = UsageBook(path)
    book.add(batch([request()]))
    (pages,) = book._connection.execute("PRAGMA page_count").fetchone()
    book._connection.execute(f"PRAGMA max_page_count = {pages}")
    many = batch((request(MIDNIGHT + n, adapter=f"a{n}") for n in range(500)), 2)
    with pytest.raises(StorageFailed) as full:
        book.add(many)
    assert full.value.code == "storage_full"
    assert requests_in(path) == 1
    book._connection.execute("PRAGMA max_page_count = 1000000")
    assert book.add(many)
    assert requests_in(path) == 501
    book.close()


def test_a_file_of_rubbish_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"rubbish " * 1000)
    book = UsageBook(path)
    assert book.add(batch([request()]))
    (aside,) = path.parent.glob("usage.db.damaged-*")
    assert aside.read_bytes().startswith(b"rubbish")
    book.close()


def test_a_file_that_is_damaged_meanwhile_makes_way_when_that_is_seen(path: Path) -> None:
    book = UsageBook(path)
    for number in range(1, 30):
        book.add(batch((request(MIDNIGHT + n, adapter=f"a{n}") for n in range(50)), number))
    book.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    book = UsageBook(path)
    with pytest.raises(TrackerUnusable):
        book.add(batch([request()], 30))
    assert book.add(batch([request()], 30)), "what comes again finds a new file"
    assert requests_in(path) == 1
    assert list(path.parent.glob("usage.db.damaged-*"))
    book.close()


def test_a_database_of_another_program_stays_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    for use in (UsageBook, lambda there: ask(there, EVERYTHING)):
        with pytest.raises(TrackerUnusable, match="another program"):
            use(path)
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    other.close()
    assert len(path.read_bytes()) == len(before)


def test_a_file_of_a_later_version_is_refused(path: Path) -> None:
    UsageBook(path).close()
    with sqlite3.connect(path) as later:
        later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(TrackerUnusable, match="version 99"):
        UsageBook(path)


def test_a_place_where_nothing_can_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackerUnusable):
        UsageBook(tmp_path / "file" / "usage.db")


def test_a_clock_that_runs_backwards_adds_to_the_hours_that_it_shows(path: Path) -> None:
    book = UsageBook(path)
    book.add(batch([request(MIDNIGHT + DAY)]))
    book.add(batch([request(MIDNIGHT - 400 * DAY)], 2))
    rows = ask(path, UsageQuestion(0.0, per="day")).rows
    assert [row.start for row in rows] == [MIDNIGHT - 400 * DAY, MIDNIGHT + DAY]
    book.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "\ud800\0" + "x" * 10_000, "tenant": "\udfff", "adapter": "=1+1", "response_id": ""},
        {"prompt_tokens": 10**30, "completion_tokens": -5},
        {"total_s": math.nan, "queue_s": math.inf, "first_token_s": -1.0, "per_token_s": -math.inf},
        {"at": math.nan},
        {"at": 1e300},
        {"at": -5.0},
    ],
    ids=["texts", "tokens", "times", "no moment", "a late moment", "an early moment"],
)
def test_no_request_is_one_that_the_file_refuses(path: Path, fields: dict[str, object]) -> None:
    book = UsageBook(path)
    assert book.add(batch([request(**fields)]))  # type: ignore[arg-type]
    assert requests_in(path) == 1
    ((*_, replica),) = request_rows(path, 0.0)
    assert replica == "replica-1"
    book.close()


def test_a_batch_that_fails_halfway_leaves_nothing_behind(path: Path) -> None:
    book = UsageBook(path)
    broken = request()._replace(outcome="unheard of")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not in tuple"):
        book.add(TrackedBatch("one", 1, (request(tenant="new"), broken)))
    assert book.add(batch([request(tenant="new")])), "its number was not taken"
    (row,) = ask(path, UsageQuestion(0.0, by=("tenant",))).rows
    assert (row.tenant, row.counts["requests"]) == ("new", 1)
    book.close()


def test_errors_keep_the_files_place_from_clients(path: Path) -> None:
    book = UsageBook(path)
    book._connection.close()
    with pytest.raises(AdaptrixError) as error:
        book.add(batch([request()]))
    assert str(path.parent) not in error.value.message
    book._lock.close()
