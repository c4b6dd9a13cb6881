"""Tables as CSV and as JSONL, for other programs: one line at a time, so that any number of rows goes through.

A spreadsheet computes a cell that looks like a formula, and names are made by others. So in CSV a text that begins like
one has an apostrophe before it, and characters that a terminal obeys are left out. JSONL escapes them, and has every
text as it is.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

Cell = str | int | float | None

_FORMULA = re.compile(r"\s*[=+\-@|%]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""C0, C1, and characters that turn the direction of what follows or are not seen at all."""


def csv_lines(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The head, then a line for each row, by RFC 4180. None is an empty cell."""
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    writer.writerow(columns)
    yield line.getvalue()
    for row in rows:
        line.seek(0)
        line.truncate()
        writer.writerow([harmless(cell) if isinstance(cell, str) else cell for cell in row])
        yield line.getvalue()


def json_lines(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """An object for each row."""
    for row in rows:
        yield json.dumps(dict(zip(columns, row, strict=True))) + "\n"


def harmless(text: str) -> str:
    """A text as a cell that no spreadsheet computes and no terminal obeys."""
    shown = _CONTROLS.sub("", text)
    return f"'{shown}" if _FORMULA.match(shown) else shown


def moment(seconds: float) -> str:
    """Seconds since 1970 in ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
