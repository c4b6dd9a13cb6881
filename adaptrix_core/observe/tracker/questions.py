"""Questions to the tracker's file, and their answers: figures by tenant, key, adapter and time.

An answer is put together of whole days, whole hours, and the requests themselves for the minutes before the first whole
hour and after the last one: a row for each day and name, not one for each request.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.observe.tracker.file import in_our_words, open_for_reading
from adaptrix_core.observe.tracker.latency_buckets import counted, percentiles
from adaptrix_core.observe.tracker.sums import COUNTS, DAY, GROUPINGS, HOUR, LATENCIES, Grouping
from adaptrix_core.observe.tracker.tracked import OUTCOMES

Dimension = Literal["tenant", "key_id", "adapter"]
DIMENSIONS: tuple[Dimension, ...] = ("tenant", "key_id", "adapter")
PERIODS = {"hour": HOUR, "day": DAY}
"""Lengths of the periods that an answer can be divided into, in seconds."""
SHARES = (0.5, 0.95, 0.99)
"""Of the percentiles that are told."""
MOST_ROWS = 20_000
"""Most rows of an answer."""
LONGEST_S = 20.0
"""Seconds after which a question is given up."""


@dataclass(frozen=True)
class UsageQuestion:
    """What is asked: of which requests, and how they are taken together."""

    start: float
    """Seconds since 1970, of the requests' end."""
    end: float | None = None
    """The first moment that is not meant any more; None: up to now."""
    by: tuple[Dimension, ...] = ()
    per: Literal["hour", "day"] | None = None
    """One row for each period; None: all together."""
    only: dict[Dimension, str] = field(default_factory=dict)
    """Names that are meant, others being left out."""


class UsageRow(NamedTuple):
    """Figures of some requests."""

    start: int | None
    """Begin of the period, in seconds since 1970; None where the answer is not divided."""
    tenant: str | None
    """None, like the next two, where requests of several are taken together."""
    key_id: str | None
    adapter: str | None
    counts: dict[str, int]
    """By `COUNTS`."""
    latencies: dict[str, list[float]]
    """By `LATENCIES`, seconds at each of `SHARES`; missing where none was measured, or where keys are told apart."""

    @property
    def success_rate(self) -> float | None:
        """Of the requests that it was up to the server to answer, the share that was; None without any."""
        meant = self.counts["answered"] + self.counts["failed"]
        return self.counts["answered"] / meant if meant else None


@dataclass(frozen=True)
class UsageAnswer:
    """Figures, and the time that they are of."""

    start: float
    """Earlier than asked for where only sums are kept of so long ago, or where the answer is divided: the begin of the
    hour, or of the period."""
    end: float | None
    rows: tuple[UsageRow, ...]
    dropped: int
    """Requests of that time, whoever sent them, that are in no row because there was no room to note them."""


def ask(path: Path, asked: UsageQuestion, most_rows: int | None = MOST_ROWS) -> UsageAnswer:
    """The answer by the file as it is now. Raises TrackerUnusable, InvalidRequest for one of too many rows."""
    with in_our_words(path), closing(open_for_reading(path)) as connection:
        connection.create_aggregate("joined", 1, _Joined)  # type: ignore[arg-type]
        connection.create_aggregate("counted", 1, _Counted)  # type: ignore[arg-type]
        given_up_at = time.monotonic() + LONGEST_S
        connection.set_progress_handler(lambda: time.monotonic() > given_up_at, 100_000)
        try:
            connection.execute("BEGIN")  # one state of the file for all that follows
            return _answered(connection, asked, most_rows)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_INTERRUPT:
                raise
            raise _too_much(f"takes longer than {LONGEST_S:g} s") from None


class _Joined:
    """SQLite's aggregate of histograms: one behind the other."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def step(self, part: bytes | None) -> None:
        if part is not None:
            self._parts.append(part)

    def finalize(self) -> bytes:
        return b"".join(self._parts)


class _Counted:
    """SQLite's aggregate of seconds: their histogram."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def step(self, seconds: float | None) -> None:
        if seconds is not None:
            self._seconds.append(seconds)

    def finalize(self) -> bytes | None:
        return counted(self._seconds)


FoundRow = tuple[Any, ...]
"""Of a query: begin of the period, three names by number, counts, histograms."""
Figures = tuple[list[int], list[bytes]]


def _answered(connection: sqlite3.Connection, asked: UsageQuestion, most_rows: int | None) -> UsageAnswer:
    asked = _from_what_is_kept(connection, asked)
    numbers = _numbers_of(connection, asked.only.values())
    dropped = _dropped(connection, asked)
    if None in numbers.values():  # a name that never occurred
        return UsageAnswer(asked.start, asked.end, (), dropped)
    only = [(dimension, numbers[name]) for dimension, name in asked.only.items()]
    grouping = _grouping(asked)
    told = [dimension in asked.by or dimension in asked.only for dimension in DIMENSIONS]
    found: dict[tuple[int, ...], Figures] = {}
    for rows in _parts(connection, asked, grouping, only):
        for row in rows:
            start, *who = row[:4]
            _add(found, (start, *(name * is_told for name, is_told in zip(who, told, strict=True))), row[4:])
            if most_rows is not None and len(found) > most_rows:
                raise _too_much(f"has more than {most_rows} rows")
    names = dict(connection.execute("SELECT number, name FROM names"))
    figures = tuple(_row(key, found[key], names, asked) for key in sorted(found))
    return UsageAnswer(asked.start, asked.end, figures, dropped)


def _from_what_is_kept(connection: sqlite3.Connection, asked: UsageQuestion) -> UsageQuestion:
    """By whole hours where single requests may be gone, and from a period's begin on where it is told by periods."""
    (before,) = connection.execute("SELECT before FROM pruned").fetchone()
    start, end = asked.start, asked.end
    if asked.per is not None:
        start = start // PERIODS[asked.per] * PERIODS[asked.per]
    if start < before:
        start = start // HOUR * HOUR
    if end is not None and end // HOUR * HOUR < before:
        end = math.ceil(end / HOUR) * HOUR
    return replace(asked, start=start, end=end)


def _numbers_of(connection: sqlite3.Connection, names: Iterable[str]) -> dict[str, int | None]:
    found = {}
    for name in names:
        row = connection.execute("SELECT number FROM names WHERE name = ?", (name,)).fetchone()
        found[name] = None if row is None else int(row[0])
    return found


def _grouping(asked: UsageQuestion) -> Grouping:
    """The smallest one that tells apart what the question does."""
    needed = {*asked.by, *asked.only}
    return next(grouping for grouping in GROUPINGS if needed <= grouping.by)


def _parts(
    connection: sqlite3.Connection, asked: UsageQuestion, grouping: Grouping, only: list[tuple[Dimension, int | None]]
) -> Iterator[Iterable[FoundRow]]:
    """Rows of figures that together are the answer."""
    first, last = connection.execute(
        "SELECT min(start), max(start) FROM sums WHERE grouping = 0 AND period = ?", (HOUR,)
    ).fetchone()
    if last is None:
        return
    start = max(asked.start, first)
    end = last + HOUR if asked.end is None else min(asked.end, last + HOUR)
    first_hour, end_hour = math.ceil(start / HOUR) * HOUR, int(end) // HOUR * HOUR
    if first_hour > end_hour:  # within one hour
        yield _of_requests(connection, asked, grouping, only, start, end)
        return
    if start < first_hour:
        yield _of_requests(connection, asked, grouping, only, start, first_hour)
    first_day, end_day = math.ceil(first_hour / DAY) * DAY, end_hour // DAY * DAY
    if asked.per == "hour" or first_day >= end_day:
        yield _of_sums(connection, asked, grouping, only, HOUR, range(first_hour, end_hour, HOUR))
    else:
        hours = [*range(first_hour, first_day, HOUR), *range(end_day, end_hour, HOUR)]
        yield _of_sums(connection, asked, grouping, only, HOUR, hours)
        yield _of_sums(connection, asked, grouping, only, DAY, range(first_day, end_day, DAY))
    if end_hour < end:
        yield _of_requests(connection, asked, grouping, only, end_hour, end)


def _of_sums(
    connection: sqlite3.Connection,
    asked: UsageQuestion,
    grouping: Grouping,
    only: list[tuple[Dimension, int | None]],
    period: int,
    starts: Iterable[int],
) -> Iterable[FoundRow]:
    figures = [*(f"sum({name})" for name in COUNTS), *(f"joined({name})" for name in LATENCIES)]
    # Every column that is known, as they are the table's key in this order.
    fixed = [*only, *((dimension, 0) for dimension in DIMENSIONS if dimension not in grouping.by)]
    return connection.execute(
        f"SELECT {_period(asked, 'start')}, tenant, key_id, adapter, {', '.join(figures)} FROM sums "
        "WHERE grouping = ? AND period = ? AND start IN (SELECT value FROM json_each(?))"
        f"{''.join(f' AND {dimension} = ?' for dimension, _ in fixed)} GROUP BY 1, 2, 3, 4",
        (grouping.number, period, json.dumps(list(starts)), *(number for _, number in fixed)),
    )


def _of_requests(
    connection: sqlite3.Connection,
    asked: UsageQuestion,
    grouping: Grouping,
    only: list[tuple[Dimension, int | None]],
    start: float,
    end: float,
) -> Iterable[FoundRow]:
    told = [dimension if dimension in grouping.by else f"0 AS {dimension}_of_all" for dimension in DIMENSIONS]
    outcomes = [f"sum(outcome = {number})" for number in range(len(OUTCOMES))]
    tokens = [f"sum({name})" for name in COUNTS[-3:]]
    answered = f"iif(outcome = {OUTCOMES.index('answered')}, total_s, NULL)"
    seconds = [f"counted({name})" for name in (*LATENCIES[:-1], answered)] if grouping.has_latencies else ["NULL"] * 5
    return connection.execute(
        f"SELECT {_period(asked, 'at')}, {', '.join((*told, 'count(*)', *outcomes, *tokens, *seconds))} FROM requests "
        f"WHERE at >= ? AND at < ?{''.join(f' AND {dimension} = ?' for dimension, _ in only)} GROUP BY 1, 2, 3, 4",
        (start, end, *(number for _, number in only)),
    )


def _period(asked: UsageQuestion, column: str) -> str:
    if asked.per is None:
        return "0 AS of_all"
    seconds = PERIODS[asked.per]
    return f"CAST({column} AS INTEGER) / {seconds} * {seconds} AS of_period"


def _add(found: dict[tuple[int, ...], Figures], key: tuple[int, ...], figures: FoundRow) -> None:
    counts, histograms = figures[: len(COUNTS)], figures[len(COUNTS) :]
    known = found.setdefault(key, ([0] * len(COUNTS), [b""] * len(LATENCIES)))
    for place, number in enumerate(counts):
        known[0][place] += number
    for place, histogram in enumerate(histograms):
        known[1][place] += histogram or b""


def _row(key: tuple[int, ...], figures: Figures, names: dict[int, str], asked: UsageQuestion) -> UsageRow:
    start, *numbers = key
    latencies = {
        name: seconds
        for name, histogram in zip(LATENCIES, figures[1], strict=True)
        if (seconds := percentiles(histogram, SHARES)) is not None
    }
    tenant, key_id, adapter = (names[number] if number else None for number in numbers)
    counts = dict(zip(COUNTS, figures[0], strict=True))
    return UsageRow(None if asked.per is None else start, tenant, key_id, adapter, counts, latencies)


def _dropped(connection: sqlite3.Connection, asked: UsageQuestion) -> int:
    """Whole hours: of which minute they were, nobody noted."""
    end = math.inf if asked.end is None else asked.end
    (number,) = connection.execute(
        "SELECT ifnull(sum(requests), 0) FROM dropped WHERE start >= ? AND start < ?", (asked.start // HOUR * HOUR, end)
    ).fetchone()
    return int(number)


def _too_much(why: str) -> InvalidRequest:
    return InvalidRequest(f"the answer {why}: ask for a shorter time, for days in place of hours, or for one tenant")
