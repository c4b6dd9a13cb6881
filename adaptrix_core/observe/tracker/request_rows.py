"""The requests themselves, read from the tracker's file one after another, for exports."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from adaptrix_core.observe.tracker.file import in_our_words, open_for_reading
from adaptrix_core.observe.tracker.tables_out import Cell, moment
from adaptrix_core.observe.tracker.tracked import OUTCOMES, TrackedRequest

COLUMNS = TrackedRequest._fields

_NAMED = ("tenant", "key_id", "adapter", "endpoint", "error", "replica")
"""Columns whose texts stand in the table of names."""


def request_rows(
    path: Path, start: float, end: float | None = None, adapter: str | None = None
) -> Iterator[tuple[Cell, ...]]:
    """Requests by `COLUMNS`, in the order of their end; ``at`` is told as a moment in UTC.

    start, end: seconds since 1970; None: up to now. adapter: only those that it answered. Raises TrackerUnusable.
    """
    with in_our_words(path), closing(open_for_reading(path)) as connection:
        yield from map(_shown, _found(connection, start, math.inf if end is None else end, adapter))


def _found(connection: sqlite3.Connection, start: float, end: float, adapter: str | None) -> Iterator[tuple[Cell, ...]]:
    names = dict(connection.execute("SELECT number, name FROM names"))
    number = next((number for number, name in names.items() if name == adapter), 0)
    only = "" if adapter is None else " AND adapter = ?"
    values = (start, end) if adapter is None else (start, end, number)
    columns = ", ".join(COLUMNS)
    for row in connection.execute(
        f"SELECT {columns} FROM requests WHERE at >= ? AND at < ?{only} ORDER BY at, number", values
    ):
        yield tuple(names[cell] if name in _NAMED else cell for name, cell in zip(COLUMNS, row, strict=True))


def _shown(row: tuple[Cell, ...]) -> tuple[Cell, ...]:
    told = dict(zip(COLUMNS, row, strict=True))
    told["at"] = moment(float(told["at"] or 0))
    told["outcome"] = OUTCOMES[int(told["outcome"] or 0)]
    return tuple(told.values())
