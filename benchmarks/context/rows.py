"""Rows of a table that are kept in a file, so that an interrupted benchmark measures none of them twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class RememberedRows:
    """Rows by what they measure."""

    def __init__(self, path: Path | None) -> None:
        """path: file of JSON lines, which grows; None keeps nothing."""
        self._path = path
        lines = path.read_text().splitlines() if path is not None and path.is_file() else []
        self._rows: list[Row] = [json.loads(line) for line in lines]

    def row(self, what: Row, measure: Callable[[], Row]) -> Row:
        """``what``, and beside it what ``measure`` gives; as it was kept, where it was measured before."""
        for row in self._rows:
            if what.items() <= row.items():
                return row
        row = {**what, **measure()}
        self._rows.append(row)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        return row
