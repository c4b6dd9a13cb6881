"""The lines of batches that run, in the database: where each stands in the input, and its answer, written once.

Also which batches run, so that a new process finds them without reading all others. A line's answer and its bytes in
the account of the tenant change together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from deployments.objects.batch import LineCounts
from deployments.objects.database import Database

Outcome = Literal["completed", "failed"]

LINE_BYTES = 64
"""What a line counts for its tenant beside its answer."""
ANSWERS_BYTES = 1 << 20
"""Bytes of answers that are read at once, or one answer that is larger."""
AT_ONCE = 1000
"""Most lines that are read or deleted at once."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS batch_lines (
        batch TEXT NOT NULL, number INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
        custom_id TEXT, outcome TEXT, answer BLOB, answer_bytes INTEGER NOT NULL AS (ifnull(length(answer), 0)) STORED,
        PRIMARY KEY (batch, number)
    )""",
    "CREATE INDEX IF NOT EXISTS by_outcome ON batch_lines (batch, outcome, number, answer_bytes)",
    "CREATE TABLE IF NOT EXISTS running_batches (batch TEXT PRIMARY KEY, tenant TEXT NOT NULL, input TEXT NOT NULL)",
)


@dataclass(frozen=True)
class BatchLine:
    """A line of the input."""

    number: int
    """From 0, blank lines left out."""
    start: int
    """Its first byte in the input."""
    length: int
    """In bytes, without the line's end."""
    custom_id: str | None


@dataclass(frozen=True)
class LineAnswer:
    """The answer to a line, as it goes into a file."""

    number: int
    outcome: Outcome
    data: bytes


class LineTable:
    """The tables. For one thread at a time; all methods may raise StorageFailed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        for table in _TABLES:
            database.change(table)

    def note_running(self, batch_id: str, tenant: str, input_file_id: str) -> None:
        """Remember that a batch runs, and which file it reads."""
        self._database.change("INSERT INTO running_batches VALUES (?, ?, ?)", batch_id, tenant, input_file_id)

    def reading(self, tenant: str, file_id: str) -> str | None:
        """A batch that reads this file of its tenant, if one runs."""
        query = "SELECT batch FROM running_batches WHERE tenant = ? AND input = ?"
        return next((batch for (batch,) in self._database.rows(query, tenant, file_id)), None)

    def running(self) -> list[tuple[str, str]]:
        """(id, tenant) of every batch that runs, the oldest first."""
        return [(*row,) for row in self._database.rows("SELECT batch, tenant FROM running_batches ORDER BY rowid")]

    def num_running(self, tenant: str) -> int:
        """How many batches of a tenant run."""
        return int(self._database.rows("SELECT count(*) FROM running_batches WHERE tenant = ?", tenant)[0][0])

    def note_over(self, batch_id: str) -> None:
        """Forget that a batch runs."""
        self._database.change("DELETE FROM running_batches WHERE batch = ?", batch_id)

    def add(self, batch_id: str, lines: Sequence[BatchLine]) -> None:
        """Note lines of the input, without answers."""
        for line in lines:
            self._database.change(
                "INSERT INTO batch_lines (batch, number, start, length, custom_id) VALUES (?, ?, ?, ?, ?)",
                *(batch_id, line.number, line.start, line.length, line.custom_id),
            )

    def answer(self, batch_id: str, answer: LineAnswer) -> bool:
        """Note the answer to a line, unless it has one; whether it had none."""
        changed = self._database.change(
            "UPDATE batch_lines SET outcome = ?, answer = ? WHERE batch = ? AND number = ? AND outcome IS NULL",
            *(answer.outcome, answer.data, batch_id, answer.number),
        )
        return changed == 1

    def unanswered(self, batch_id: str, after: int) -> list[BatchLine]:
        """Some of the lines behind number ``after`` that have no answer, in order."""
        found = self._database.rows(
            "SELECT number, start, length, custom_id FROM batch_lines "
            "WHERE batch = ? AND outcome IS NULL AND number > ? ORDER BY number LIMIT ?",
            *(batch_id, after, AT_ONCE),
        )
        return [BatchLine(*row) for row in found]

    def answers(self, batch_id: str, outcome: Outcome, after: int) -> list[LineAnswer]:
        """Some of the answers to lines behind number ``after``, in order."""
        sizes = self._database.rows(
            "SELECT number, answer_bytes FROM batch_lines WHERE batch = ? AND outcome = ? AND number > ? "
            "ORDER BY number LIMIT ?",
            *(batch_id, outcome, after, AT_ONCE),
        )
        last, size = after, 0
        for number, answer_bytes in sizes:
            if size and size + answer_bytes > ANSWERS_BYTES:
                break
            last, size = number, size + answer_bytes
        found = self._database.rows(
            "SELECT number, answer FROM batch_lines WHERE batch = ? AND outcome = ? AND number > ? AND number <= ? "
            "ORDER BY number",
            *(batch_id, outcome, after, last),
        )
        return [LineAnswer(number, outcome, data) for number, data in found]

    def counts(self, batch_id: str) -> LineCounts:
        """How many lines there are and how many are answered."""
        found = dict(
            self._database.rows("SELECT outcome, count(*) FROM batch_lines WHERE batch = ? GROUP BY outcome", batch_id)
        )
        return LineCounts(sum(found.values()), found.get("completed", 0), found.get("failed", 0))

    def delete_some(self, batch_id: str) -> int:
        """Delete some of a batch's lines; how many."""
        return self._database.change(
            "DELETE FROM batch_lines WHERE batch = ? AND number IN "
            "(SELECT number FROM batch_lines WHERE batch = ? LIMIT ?)",
            *(batch_id, batch_id, AT_ONCE),
        )
