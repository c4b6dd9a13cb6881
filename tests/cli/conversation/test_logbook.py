"""The log: private, bounded, searchable, honest about a file that it cannot use."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from adaptrix_core.cli.logs.logbook import Logbook
from adaptrix_core.cli.logs.turn import LoggedTurn
from adaptrix_core.errors import ConversationNotFound, LogUnusable


def turn(question: str, answer: str = "an answer") -> LoggedTurn:
    return LoggedTurn(question=question, answer=answer, model="auto", adapter="math")


def record(book: Logbook, conversation: int | None, *questions: str, answer: str = "an answer") -> int:
    turns = [turn(question, answer) for question in questions]
    return book.record(conversation, turns, model="auto", system="be brief", sampling={"stop": ["x"], "top_p": 0.5})


@pytest.fixture
def book(tmp_path: Path) -> Logbook:
    return Logbook(tmp_path / "data" / "logs.db")


def test_what_is_recorded_comes_back_whole(book: Logbook) -> None:
    first = turn("ünïcode ☃ \n two lines")
    number = book.record(None, [first], model="a*0.5", system=None, sampling={})
    assert record(book, number, "more") == number
    found = book.conversation(number)
    assert found.turns[0] == first
    assert [t.question for t in found.turns] == [first.question, "more"]
    assert (found.model, found.system, found.sampling) == ("auto", "be brief", {"stop": ["x"], "top_p": 0.5})
    assert book.conversation() == found


def test_only_the_owner_may_read_it(book: Logbook) -> None:
    book.path.parent.mkdir()
    book.path.touch(0o644)
    record(book, None, "secret")
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600
    other = Logbook(book.path.parent / "new" / "logs.db")
    record(other, None, "secret")
    assert stat.S_IMODE(other.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(other.path.parent.stat().st_mode) == 0o700


def test_reading_makes_no_file_and_finds_nothing(book: Logbook) -> None:
    assert book.latest(5) == []
    assert book.search("x", 5) == []
    assert book.clear() == 0
    with pytest.raises(ConversationNotFound, match="no conversation yet"):
        book.conversation()
    assert not book.path.exists()


@pytest.mark.parametrize("bounds", [{"max_conversations": 3}, {"max_chars": 3 * len("q7an answer")}])
def test_the_oldest_conversations_go_whole(tmp_path: Path, bounds: dict[str, int]) -> None:
    book = Logbook(tmp_path / "logs.db", **bounds)
    numbers = [record(book, None, f"q{place}") for place in range(5)]
    assert [entry.id for entry in book.latest(10)] == numbers[:1:-1]
    with pytest.raises(ConversationNotFound):
        book.conversation(numbers[0])
    assert record(book, None, "new") > max(numbers), "a number is never given twice"


def test_one_conversation_larger_than_the_bound_stays(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "logs.db", max_chars=10)
    record(book, None, "old")
    number = record(book, None, "a question of more than ten characters")
    assert [entry.id for entry in book.latest(10)] == [number]


def test_search_finds_all_words_in_question_or_answer_in_any_case(book: Logbook) -> None:
    number = record(book, None, "Where is STRASSE?", answer="In Berlin, 100% sure_ly")
    record(book, None, "elsewhere")
    for words in ("straße berlin", "BERLIN where", "100%", "sure_"):
        assert [(found, t.question) for found, t in book.search(words, 5)] == [(number, "Where is STRASSE?")], words
    assert book.search("berlin elsewhere", 5) == []
    assert book.search("100_", 5) == []


def test_what_is_deleted_is_gone_from_the_file(book: Logbook) -> None:
    kept, gone = record(book, None, "keep me"), record(book, None, "x" * 9000 + "forget me")
    size = book.path.stat().st_size
    book.delete(gone)
    content = book.path.read_bytes()
    assert b"keep me" in content
    assert b"forget me" not in content
    assert len(content) < size
    with pytest.raises(ConversationNotFound, match="no conversation 2"):
        book.delete(gone)
    assert book.clear() == 1
    assert b"keep me" not in book.path.read_bytes()
    assert kept != record(book, None, "later")


def test_the_last_turn_is_withdrawn(book: Logbook) -> None:
    number = record(book, None, "one", "two")
    book.withdraw_last(number)
    assert [t.question for t in book.conversation(number).turns] == ["one"]


def test_two_write_at_once(book: Logbook) -> None:
    other = Logbook(book.path)
    numbers = [record(which, None, "q") for which in (book, other, book)]
    assert len(set(numbers)) == 3
    record(other, numbers[0], "again")
    assert len(book.conversation(numbers[0]).turns) == 2


def damaged_in_the_middle(path: Path) -> None:
    record(Logbook(path), None, *(f"question {n} " + "x" * 500 for n in range(200)))
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(bytes(data))


def anothers_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE things (id)")


def of_a_later_version(path: Path) -> None:
    record(Logbook(path), None, "q")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")


def a_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda path: path.write_bytes(b"this is text\n" * 1000), "is damaged"),
        (damaged_in_the_middle, "is damaged"),
        (anothers_database, "a database of something else"),
        (of_a_later_version, "has format 7"),
        (a_directory, "cannot be used now"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_says_why_and_what_to_do(
    tmp_path: Path, spoil: object, complaint: str
) -> None:
    path = tmp_path / "logs.db"
    spoil(path)  # type: ignore[operator]
    before = None if path.is_dir() else path.read_bytes()
    book = Logbook(path)
    for attempt in (lambda: record(book, None, "q"), lambda: book.latest(5), lambda: book.search("question", 5)):
        with pytest.raises(LogUnusable, match=complaint) as raised:
            attempt()
        assert str(path) in raised.value.message
        assert "ADAPTRIX_LOGS" in raised.value.message
    assert before is None or path.read_bytes() == before, "nothing is made worse"


def test_a_log_that_another_process_holds_is_waited_for_and_then_named(
    book: Logbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptrix_core.cli.logs.logbook.BUSY_TIMEOUT_S", 0.05)
    record(book, None, "q")
    with sqlite3.connect(book.path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LogUnusable, match="locked"):
            record(book, None, "q")
