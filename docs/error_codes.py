"""Writes docs/errors.md from the table of error codes; ``--check`` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from adaptrix_core.error_codes import ERROR_CODES, ErrorCode
from docs.written_page import write_or_compare

PAGE = Path(__file__).with_name("errors.md")
HEAD = """# Error codes

Every error has a `code`, which is stable, and a message for people that says what was wrong, the value, the limit and
the next step. Over HTTP it is OpenAI's document ([http-api.md](http-api.md#errors)); the command line prints the code
in brackets, or the same fields with `--json`. This page is written by `python -m docs.error_codes` from
`adaptrix_core/error_codes.py`.
"""


def page() -> str:
    """The whole page."""
    sent = [row for row in ERROR_CODES.values() if not row.is_local]
    local = [row for row in ERROR_CODES.values() if row.is_local]
    parts = [HEAD]
    for status in sorted({row.status for row in sent}):
        rows = [row for row in sent if row.status == status]
        parts.append(f"## {status}: `{rows[0].openai_type}`\n\n{_table(rows)}")
    parts.append(f"## In the library and the command line only\n\n{_table(local)}")
    return "\n".join(parts)


def _table(rows: list[ErrorCode]) -> str:
    lines = ["| code | meaning |", "|---|---|", *(f"| `{row.code}` | {row.meaning} |" for row in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), sys.argv[1:], "error_codes"))
