"""The log: conversations in one SQLite file that only its owner can read.

Bounded: beyond a number of conversations or of characters, the oldest conversations are deleted, whole. Deleted text is
overwritten in the file. Several processes may use one log at a time.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from adaptrix_core.cli.logs.place import VARIABLE
from adaptrix_core.cli.logs.turn import LoggedTurn
from adaptrix_core.errors import ConversationNotFound, LogUnusable

MAX_CONVERSATIONS = 2_000
MAX_CHARS = 50_000_000
"""Most characters of questions and answers in all conversations together."""

FORMAT = 1
"""Format version of the file: SQLite's ``user_version``."""
BUSY_TIMEOUT_S = 5.0
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_COLUMNS = tuple(column.name for column in fields(LoggedTurn))

# auto_vacuum must be chosen before the first table: the file shrinks again when conversations go.
_CREATE = """
PRAGMA auto_vacuum = FULL;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, system TEXT, sampling TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS turns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    question TEXT NOT NULL, answer TEXT NOT NULL, model TEXT NOT NULL, adapter TEXT NOT NULL, digest TEXT,
    finish_reason TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    duration_s REAL NOT NULL, asked_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS turns_of ON turns (conversation, id);
PRAGMA user_version = 1;
COMMIT;
"""


@dataclass(frozen=True)
class LoggedConversation:
    """A logged conversation, with everything needed to continue it."""

    id: int
    model: str
    system: str | None
    sampling: Mapping[str, Any]
    turns: tuple[LoggedTurn, ...]


@dataclass(frozen=True)
class Overview:
    """One line about a conversation."""

    id: int
    model: str
    turns: int
    last_at: str
    first_question: str


class Logbook:
    """The log in the file ``path``, which is made when something is first recorded.

    Every method may raise LogUnusable: the file is damaged, is something else, or cannot be read or written.
    """

    def __init__(self, path: Path, max_conversations: int = MAX_CONVERSATIONS, max_chars: int = MAX_CHARS) -> None:
        self.path = path
        self._max_conversations = max_conversations
        self._max_chars = max_chars

    def record(
        self,
        conversation: int | None,
        turns: Sequence[LoggedTurn],
        *,
        model: str,
        system: str | None,
        sampling: Mapping[str, Any],
    ) -> int:
        """Append ``turns`` to a conversation, or to a new one where it is None or gone; returns its number.

        model, system, sampling: those of the conversation's next question.
        """
        settings = (model, system, json.dumps(sampling))
        with self._open(make=True) as db:
            known = (
                conversation is not None
                and db.execute(
                    "UPDATE conversations SET model = ?, system = ?, sampling = ? WHERE id = ?",
                    (*settings, conversation),
                ).rowcount
            )
            if not known:
                conversation = db.execute(
                    "INSERT INTO conversations (model, system, sampling) VALUES (?, ?, ?)", settings
                ).lastrowid
            places = ", ".join("?" * (1 + len(_COLUMNS)))
            db.executemany(
                f"INSERT INTO turns (conversation, {', '.join(_COLUMNS)}) VALUES ({places})",
                [(conversation, *(getattr(turn, column) for column in _COLUMNS)) for turn in turns],
            )
            self._forget_oldest(db)
        assert conversation is not None  # AUTOINCREMENT gave it a number
        return conversation

    def withdraw_last(self, conversation: int) -> None:
        """Take back the last turn of a conversation."""
        with self._open() as db:
            db.execute(
                "DELETE FROM turns WHERE id = (SELECT max(id) FROM turns WHERE conversation = ?)", (conversation,)
            )

    def conversation(self, number: int | None = None) -> LoggedConversation:
        """The conversation of that number; None: the most recent one. Raises ConversationNotFound."""
        with self._open() as db:
            if number is None:
                last = db.execute("SELECT conversation FROM turns ORDER BY id DESC LIMIT 1").fetchone()
                if last is None:
                    raise ConversationNotFound(f"the log {self.path} holds no conversation yet")
                number = int(last[0])
            found = db.execute("SELECT model, system, sampling FROM conversations WHERE id = ?", (number,)).fetchone()
            if found is None:
                raise ConversationNotFound(f"no conversation {number} in the log; `adaptrix logs` lists what there is")
            turns = db.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM turns WHERE conversation = ? ORDER BY id", (number,)
            ).fetchall()
        model, system, sampling = found
        return LoggedConversation(number, model, system, json.loads(sampling), tuple(map(_turn, turns)))

    def latest(self, limit: int) -> list[Overview]:
        """The most recent conversations, newest first."""
        with self._open() as db:
            rows = db.execute(
                "SELECT c.id, c.model, count(*), max(t.asked_at), "
                "(SELECT question FROM turns WHERE conversation = c.id ORDER BY id LIMIT 1) "
                "FROM turns t JOIN conversations c ON c.id = t.conversation "
                "GROUP BY c.id ORDER BY max(t.id) DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [Overview(*row) for row in rows]

    def search(self, text: str, limit: int) -> list[tuple[int, LoggedTurn]]:
        """(conversation, turn) wherever question or answer holds all words of ``text`` in any case, newest first."""
        words = text.casefold().split()

        def holds(question: str, answer: str) -> bool:
            folded = f"{question}\n{answer}".casefold()
            return all(word in folded for word in words)

        with self._open() as db:
            db.create_function("holds", 2, holds, deterministic=True)
            rows = db.execute(
                f"SELECT conversation, {', '.join(_COLUMNS)} FROM turns WHERE holds(question, answer) "
                "ORDER BY id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [(row[0], _turn(row[1:])) for row in rows]

    def questions(self, limit: int) -> list[str]:
        """The latest questions, newest first, for the editor's history."""
        with self._open() as db:
            rows = db.execute("SELECT question FROM turns ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
        return [row[0] for row in rows]

    def delete(self, number: int) -> None:
        """Delete one conversation. Raises ConversationNotFound."""
        with self._open() as db:
            if not db.execute("DELETE FROM conversations WHERE id = ?", (number,)).rowcount:
                raise ConversationNotFound(f"no conversation {number} in the log; `adaptrix logs` lists what there is")

    def clear(self) -> int:
        """Delete every conversation; returns their number."""
        with self._open() as db:
            return db.execute("DELETE FROM conversations").rowcount

    def _forget_oldest(self, db: sqlite3.Connection) -> None:
        """Delete the conversations beyond the bounds; the most recent one always stays."""
        db.execute(
            "DELETE FROM conversations WHERE id IN (SELECT id FROM ("
            " SELECT id, row_number() OVER newest AS place, sum(chars) OVER newest AS total FROM ("
            "  SELECT conversation AS id, max(id) AS last, sum(length(question) + length(answer)) AS chars"
            "  FROM turns GROUP BY conversation)"
            " WINDOW newest AS (ORDER BY last DESC))"
            " WHERE place > 1 AND (place > ? OR total > ?))",
            (self._max_conversations, self._max_chars),
        )
        db.execute("DELETE FROM conversations WHERE id NOT IN (SELECT conversation FROM turns)")

    @contextmanager
    def _open(self, make: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction. A log that is not there reads as an empty one."""
        try:
            if make:
                _make_private(self.path)
            target = str(self.path) if self.path.exists() else ":memory:"
            db = sqlite3.connect(target, timeout=BUSY_TIMEOUT_S)
            try:
                self._prepare(db)
                with db:
                    yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError, ValueError) as error:
            raise self._unusable(error) from error

    def _prepare(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise LogUnusable(f"{self.path} is a database of something else; name another file with {VARIABLE}")
            db.executescript(_CREATE)
        elif found != FORMAT:
            raise LogUnusable(
                f"the log {self.path} has format {found} and this version knows {FORMAT}; update adaptrix, or name "
                f"another file with {VARIABLE}"
            )
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA secure_delete = ON")

    def _unusable(self, error: Exception) -> LogUnusable:
        if getattr(error, "sqlite_errorcode", 0) in _BROKEN or isinstance(error, ValueError):
            return LogUnusable(
                f"the log {self.path} is damaged ({error}); move the file away and a new one is made, or switch the "
                f"log off with {VARIABLE}=off"
            )
        return LogUnusable(
            f"the log {self.path} cannot be used now ({error}); see who holds it, its permissions and the free space, "
            f"or switch the log off with {VARIABLE}=off"
        )


def _make_private(path: Path) -> None:
    """Create an empty file that only its owner can read, before any writing; SQLite's journals copy its mode."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def _turn(row: Sequence[Any]) -> LoggedTurn:
    return LoggedTurn(**dict(zip(_COLUMNS, row, strict=True)))
