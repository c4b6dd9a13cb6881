"""Exports: no cell is computed by a spreadsheet or obeyed by a terminal, and JSONL has every text as it was."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.observe.tracker.book import UsageBook
from adaptrix_core.observe.tracker.request_rows import COLUMNS, request_rows
from adaptrix_core.observe.tracker.tables_out import csv_lines, json_lines
from tests.observe.tracker.requests import MIDNIGHT, batch, request

HOSTILE = [
    '=HYPERLINK("http://evil.invalid","x")',
    "+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    " =1",
    "\u200b=1",
    "|x",
    "%0A=1",
    'a","b\n=1',
    "\x1b]0;title\x07",
    "<script>alert(1)</script>",
    "\u202eabc",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_is_a_harmless_cell(text: str) -> None:
    table = "".join(csv_lines(("name", "count"), [(text, -3)]))
    head, (cell, number) = csv.reader(io.StringIO(table, newline=""))
    assert head == ["name", "count"]
    assert number == "-3", "numbers stay numbers"
    assert cell[:1] not in "=+-@|%\t "[:-1]
    assert not any(ord(character) < 32 or character in "\x7f\x1b\u202e\u200b" for character in cell)


@given(st.text())
def test_no_text_begins_a_formula_or_a_line(text: str) -> None:
    table = "".join(csv_lines(("name",), [(text,)]))
    _, *rows = csv.reader(io.StringIO(table, newline=""))
    cells = [cell for row in rows for cell in row]
    assert len(cells) <= 1
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in cells)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_json_lines_have_every_text_as_it_was(text: str, number: float) -> None:
    (line,) = json_lines(("name", "seconds"), [(text, number)])
    assert json.loads(line) == {"name": text, "seconds": number}
    assert line.isascii()
    assert line.count("\n") == 1


def test_requests_are_exported_in_the_order_of_their_end(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    book = UsageBook(path)
    book.add(batch([request(MIDNIGHT + 2.5, adapter="b"), request(MIDNIGHT + 1, outcome="failed", error="timeout")]))
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in request_rows(path, 0.0)]
    assert [row["at"] for row in rows] == ["2026-12-01T00:00:01.000Z", "2026-12-01T00:00:02.500Z"]
    assert (rows[0]["outcome"], rows[0]["error"], rows[0]["tenant"]) == ("failed", "timeout", "acme")
    assert len(list(request_rows(path, 0.0, adapter="b"))) == 1
    assert list(request_rows(path, 0.0, adapter="never")) == []
    assert len(list(request_rows(path, MIDNIGHT + 1.0, MIDNIGHT + 2.0))) == 1
    book.close()
