"""The one writer of the tracker's file: batches of requests in, each exactly once, and their sums with them.

A batch and what it adds to the sums are one transaction, so sums are never apart from the requests that they are of. A
sender numbers its batches and sends one until it is taken; one that came before, of which only the answer was lost,
changes nothing.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from adaptrix_core.observe.tracker import file
from adaptrix_core.observe.tracker.latency_buckets import merged
from adaptrix_core.observe.tracker.sums import COUNTS, DAY, HOUR, LATENCIES, SumKey, Sums, sums_of
from adaptrix_core.observe.tracker.tracked import OUTCOMES, TrackedRequest, storable

logger = logging.getLogger(__name__)

PRUNED_AT_ONCE = 5000
"""Rows deleted in one transaction: some milliseconds, for which batches wait."""
SENDERS_DAYS = 30
"""Days after its last batch for which a sender is remembered; one that is gone sends nothing again."""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_INSERT = f"INSERT INTO requests VALUES ({', '.join('?' * 19)})"
_ADD = (
    f"INSERT INTO sums VALUES ({', '.join('?' * (len(SumKey._fields) + len(COUNTS) + len(LATENCIES)))}) "
    "ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTS)
    + "".join(f", {name} = merged({name}, excluded.{name})" for name in LATENCIES)
)


class TrackedBatch(NamedTuple):
    """Requests on their way to the file."""

    sender: str
    """Of all processes that ever sent, this one."""
    number: int
    """1 for a sender's first batch, then one more for each."""
    requests: tuple[TrackedRequest, ...]
    dropped: int = 0
    """Requests that the sender has had no room for since its batch before."""


class UsageBook:
    """The open file. For one thread at a time; all methods may raise TrackerUnusable and StorageFailed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection, self._lock = self._opened()
        self._numbers: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()
        self._lock.close()

    def add(self, batch: TrackedBatch) -> bool:
        """Keep a batch and add it to the sums; False where it was there already. Once it returns, readers see it."""
        requests = [storable(request) for request in batch.requests]
        with self._transaction():
            if not self._note_sender(batch, requests):
                return False
            self._connection.executemany(_INSERT, map(self._row, requests))
            added = sums_of(requests, self._number_of)
            self._connection.executemany(_ADD, ((*key, *sums.row()) for key, sums in _in_order(added)))
            if batch.dropped:
                self._note_dropped(batch.dropped, requests)
        return True

    def prune(self, now: float, requests_days: float, sums_days: float) -> bool:
        """Delete some of what is older than it may be, in days; whether there is more. now: seconds since 1970."""
        oldest, oldest_sums = now - requests_days * DAY, now - sums_days * DAY
        with self._transaction():
            gone = self._change(
                "DELETE FROM requests WHERE number IN (SELECT number FROM requests WHERE at < ? ORDER BY at LIMIT ?)",
                *(oldest, PRUNED_AT_ONCE),
            )
            if gone:
                self._change("UPDATE pruned SET before = max(before, ?)", oldest)
            for grouping, period in self._connection.execute("SELECT DISTINCT grouping, period FROM sums").fetchall():
                gone += self._prune_sums(grouping, period, oldest_sums)
            self._change("DELETE FROM senders WHERE last_at < ?", now - SENDERS_DAYS * DAY)
            self._change("DELETE FROM dropped WHERE start < ?", oldest_sums)
        if gone:
            with file.in_our_words(self._path):
                self._connection.execute(f"PRAGMA incremental_vacuum({PRUNED_AT_ONCE})").fetchall()
        return gone >= PRUNED_AT_ONCE

    def _prune_sums(self, grouping: int, period: int, oldest: float) -> int:
        """Delete the sums of the oldest period that is over before ``oldest``, where there is one."""
        (start,) = self._connection.execute(
            "SELECT min(start) FROM sums WHERE grouping = ? AND period = ?", (grouping, period)
        ).fetchone()
        if start + period > oldest:
            return 0
        return self._change(
            "DELETE FROM sums WHERE grouping = ? AND period = ? AND start = ?", *(grouping, period, start)
        )

    def _note_sender(self, batch: TrackedBatch, requests: Sequence[TrackedRequest]) -> bool:
        """Whether a batch is a new one of its sender, which is noted."""
        last_at = max((request.at for request in requests), default=0.0)
        noted = self._change(
            "INSERT INTO senders VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET batch = ?2, last_at = max(last_at, ?3) "
            "WHERE batch < ?2",
            *(batch.sender, batch.number, last_at),
        )
        return noted == 1

    def _note_dropped(self, number: int, requests: Iterable[TrackedRequest]) -> None:
        """Count them in the hour of the last request beside them."""
        hour = max((int(request.at) // HOUR * HOUR for request in requests), default=0)
        self._change(
            "INSERT INTO dropped VALUES (?1, ?2) ON CONFLICT DO UPDATE SET requests = requests + ?2", hour, number
        )

    def _row(self, request: TrackedRequest) -> tuple[object, ...]:
        """A request as a row of its table."""
        named = [self._number_of(name) for name in (request.tenant, request.key_id, request.adapter)]
        ended = self._number_of(request.endpoint), OUTCOMES.index(request.outcome), self._number_of(request.error)
        tokens = request.prompt_tokens, request.cached_tokens, request.completion_tokens
        times = request.queue_s, request.load_s, request.first_token_s, request.per_token_s, request.total_s
        first = None, request.at, request.response_id, *named, request.model
        return (*first, *ended, *tokens, *times, self._number_of(request.replica))

    def _number_of(self, name: str) -> int:
        """The number of a name, inside a transaction. 0 is none's."""
        if name not in self._numbers:
            self._change("INSERT INTO names (name) VALUES (?) ON CONFLICT DO NOTHING", name)
            (self._numbers[name],) = self._connection.execute(
                "SELECT number FROM names WHERE name = ?", (name,)
            ).fetchone()
        return self._numbers[name]

    def _change(self, statement: str, *values: object) -> int:
        return self._connection.execute(statement, values).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All changes inside are kept, or none is; a file that turns out to be damaged makes way for a new one."""
        with file.in_our_words(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException as error:
                self._numbers.clear()  # some may be of the transaction that is undone
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                if getattr(error, "sqlite_errorcode", None) in _DAMAGED:
                    self._begin_anew(error)
                raise

    def _begin_anew(self, error: BaseException) -> None:
        """Put the damaged file aside; the batch that met it fails, and comes again."""
        self.close()
        aside = file.set_aside(self._path)
        logger.error("%s is damaged (%s): it is %s now, and the tracker begins anew", self._path, error, aside)
        self._connection, self._lock = self._opened()

    def _opened(self) -> tuple[sqlite3.Connection, IO[str]]:
        connection, lock = file.open_for_writing(self._path)
        connection.create_function("merged", 2, merged, deterministic=True)
        return connection, lock


def _in_order(added: dict[SumKey, Sums]) -> Iterable[tuple[SumKey, Sums]]:
    """As they lie in the table, so that one page is written once."""
    return sorted(added.items(), key=lambda item: item[0])
