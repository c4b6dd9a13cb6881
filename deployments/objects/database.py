"""The SQLite file of the store of objects: opened by one process at a time, every commit on the disk.

    <state_dir>/objects/objects.db      tables of objects and of batches' lines
    <state_dir>/objects/contents/       contents of files, which are too large for a table

A file that is damaged is named in the log, set aside together with the contents that it describes, and replaced by an
empty one: the server starts. Knows no meaning of the tables but that of `usage`, which the database itself keeps.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from adaptrix_core.errors import AdaptrixError, StorageFailed
from deployments.shared.errors import NotReady

logger = logging.getLogger(__name__)

DATABASE, CONTENTS, STAGED = "objects.db", "contents", "staged"
OVERHEAD_BYTES = 512
"""What an object counts beside its own bytes, so that many empty ones are not free."""
LOCK_WAIT_S = 60.0
"""Longest wait, in seconds, for the process before this one to let go of the file."""

_TABLES = f"""
CREATE TABLE IF NOT EXISTS objects (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    created_at INTEGER NOT NULL, expires_at INTEGER, gives_way INTEGER NOT NULL,
    document BLOB NOT NULL, content TEXT, content_bytes INTEGER NOT NULL,
    size INTEGER NOT NULL AS (length(document) + content_bytes + {OVERHEAD_BYTES}) STORED,
    UNIQUE (tenant, kind, id)
);
CREATE INDEX IF NOT EXISTS by_expiry ON objects (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_age ON objects (tenant, number) WHERE gives_way;
CREATE TABLE IF NOT EXISTS usage (tenant TEXT PRIMARY KEY, size INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS counted AFTER INSERT ON objects BEGIN
    INSERT INTO usage VALUES (NEW.tenant, NEW.size) ON CONFLICT DO UPDATE SET size = size + NEW.size;
END;
CREATE TRIGGER IF NOT EXISTS recounted AFTER UPDATE ON objects BEGIN
    UPDATE usage SET size = size + NEW.size - OLD.size WHERE tenant = NEW.tenant;
END;
CREATE TRIGGER IF NOT EXISTS uncounted AFTER DELETE ON objects BEGIN
    UPDATE usage SET size = size - OLD.size WHERE tenant = OLD.tenant;
    DELETE FROM usage WHERE tenant = OLD.tenant AND size = 0;
END;
"""


class Database:
    """The open file. For one thread at a time."""

    def __init__(self, directory: Path) -> None:
        """Open or make it. Raises NotReady where another process keeps it, StorageFailed, OSError."""
        for place in (directory, directory / CONTENTS, directory / STAGED):
            place.mkdir(parents=True, exist_ok=True)
        self._file = directory / DATABASE
        try:
            self._connection = _opened(self._file)
        except sqlite3.OperationalError as error:
            raise self._failure(error) from error
        except sqlite3.DatabaseError as error:
            aside = _set_aside(directory)
            logger.error(
                "%s is damaged (%s): it and the contents of its files are in %s now; the server goes on without them",
                *(self._file, error, aside),
            )
            self._connection = _opened(self._file)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are kept, on the disk, or none is. Raises StorageFailed."""
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with self._translated():
                self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises StorageFailed."""
        with self._translated():
            return self._connection.execute(query, values).fetchall()

    def change(self, query: str, *values: Any) -> int:
        """Number of rows that a statement changed. Raises StorageFailed."""
        with self._translated():
            return self._connection.execute(query, values).rowcount

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise self._failure(error) from error

    def _failure(self, error: sqlite3.DatabaseError) -> AdaptrixError:
        """The error in our words; the log has the file's place, which clients must not learn."""
        logger.error("%s: %s", self._file, error)
        code = getattr(error, "sqlite_errorcode", None)
        if code == sqlite3.SQLITE_BUSY:
            return NotReady(
                "another process still has the store of objects open; send the request again in a moment",
                code="store_lost",
            )
        full = code == sqlite3.SQLITE_FULL
        return StorageFailed(
            f"the server cannot use its file {DATABASE!r}: {error}; its operator has to look at adapters.state_dir",
            code="storage_full" if full else None,
        )


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        # One process at a time, whatever the file system: the next one waits until this one lets go or dies.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(" ".join(verdict.split()))
        connection.executescript(_TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside(directory: Path) -> Path:
    """Move the database and the contents away, into a new directory beside them."""
    aside = directory / f"damaged-{secrets.token_hex(4)}"
    aside.mkdir()
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", CONTENTS):
        if (directory / name).exists():
            os.rename(directory / name, aside / name)
    (directory / CONTENTS).mkdir()
    return aside
