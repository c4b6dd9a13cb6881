"""The tracker's SQLite file: opened for the one writer, or for readers beside it; its tables; its errors in our words.

In WAL mode readers and the writer do not wait for each other. The writer holds a lock on a file beside it for as long
as it lives: a second one is refused. It belongs on a disk of this machine: SQLite's locks do not hold over a network.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from adaptrix_core.config.tracker_section import TrackerSettings
from adaptrix_core.errors import StorageFailed, TrackerUnusable
from adaptrix_core.observe.tracker.sums import COUNTS, LATENCIES

logger = logging.getLogger(__name__)

APPLICATION_ID = 0x41445854
"""Marks the file as ours: ``ADXT``."""
VERSION = 1
"""Version of the tables; a file of a later one is refused, not changed."""
BUSY_MS = 5000
"""Longest wait, in milliseconds, for a reader that stands in the way of a checkpoint."""
MOST_WAL_BYTES = 64 * 1024**2
"""Size to which the log beside the file is cut back after a checkpoint."""

_TABLES = f"""
CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE senders (sender TEXT PRIMARY KEY, batch INTEGER NOT NULL, last_at REAL NOT NULL) STRICT;
CREATE TABLE dropped (start INTEGER PRIMARY KEY, requests INTEGER NOT NULL) STRICT;
CREATE TABLE pruned (before REAL NOT NULL) STRICT;
INSERT INTO pruned VALUES (0.0);
CREATE TABLE requests (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, response_id TEXT NOT NULL,
    tenant INTEGER NOT NULL, key_id INTEGER NOT NULL, adapter INTEGER NOT NULL, model TEXT NOT NULL,
    endpoint INTEGER NOT NULL, outcome INTEGER NOT NULL, error INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    queue_s REAL, load_s REAL, first_token_s REAL, per_token_s REAL, total_s REAL NOT NULL, replica INTEGER NOT NULL
) STRICT;
CREATE INDEX requests_by_time ON requests (at);
CREATE TABLE sums (
    grouping INTEGER NOT NULL, period INTEGER NOT NULL, start INTEGER NOT NULL,
    tenant INTEGER NOT NULL, key_id INTEGER NOT NULL, adapter INTEGER NOT NULL,
    {", ".join(f"{name} INTEGER NOT NULL" for name in COUNTS)},
    {", ".join(f"{name} BLOB" for name in LATENCIES)},
    PRIMARY KEY (grouping, period, start, tenant, key_id, adapter)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""


def tracker_file(settings: TrackerSettings, state_dir: Path) -> Path:
    """Where a server's file is. state_dir: of the adapters."""
    return settings.file or state_dir / "tracker" / "usage.db"


def open_for_writing(path: Path) -> tuple[sqlite3.Connection, IO[str]]:
    """The connection of the one writer, and its lock, which is held while this is open. Makes what is not there.

    A damaged file is named in the log, set aside and replaced by an empty one. Raises TrackerUnusable, StorageFailed.
    """
    with in_our_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(path)
        try:
            try:
                return _made(path), lock
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                aside = set_aside(path)
                logger.error("%s is damaged (%s): it is %s now, and the tracker begins anew", path, error, aside)
                return _made(path), lock
        except BaseException:
            lock.close()
            raise


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot change the file, of which there may be many. Raises TrackerUnusable."""
    if not path.is_file():
        raise TrackerUnusable(f"{path}: there is no such file; the setting tracker.file says where a server keeps it")
    with in_our_words(path):
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            _require_ours(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def in_our_words(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the disk become TrackerUnusable, or StorageFailed for a disk that is full."""
    try:
        yield
    except (sqlite3.DatabaseError, OSError) as error:
        is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if is_full or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StorageFailed(
                f"{path.name}: the disk is full; free some space, or keep less (tracker.requests_days)",
                code="storage_full",
            ) from error
        raise TrackerUnusable(
            f"{path.name}: the tracker cannot use its file: {error}; see that it is on a disk of this machine and "
            "that this user may write there (tracker.file)"
        ) from error


def _made(path: Path) -> sqlite3.Connection:
    """The open file, with its tables."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {MOST_WAL_BYTES}")
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables:
            _require_ours(connection, path)
        else:
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
    except BaseException:
        connection.close()
        raise
    return connection


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Raise TrackerUnusable for a file of another kind or of a later version."""
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    if kind != APPLICATION_ID:
        raise TrackerUnusable(f"{path}: a database of another program; name another file (tracker.file)")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise TrackerUnusable(
            f"{path}: its tables have version {version}, and this program knows up to {VERSION}; update Adaptrix"
        )


def _locked(path: Path) -> IO[str]:
    lock = path.with_name(f"{path.name}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise TrackerUnusable(
            f"{path}: another process writes to it; two servers need a file each (tracker.file)", code="tracker_in_use"
        ) from None
    return lock


def set_aside(path: Path) -> Path:
    """Rename the file and what SQLite keeps beside it."""
    aside = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    for ending in ("", "-wal", "-shm"):
        there = path.with_name(f"{path.name}{ending}")
        if there.exists():
            os.rename(there, f"{aside}{ending}")
    return aside
