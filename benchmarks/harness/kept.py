"""Numbers that were measured before, by their keys, so that a benchmark that was cut off goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kept:
    """The measurements in one file, a line of JSON each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        rows = map(json.loads, path.read_text().splitlines()) if path.is_file() else ()
        self._known: dict[str, Any] = {row["key"]: row["value"] for row in rows}

    def once(self, key: str, measure: Callable[[], Any]) -> Any:
        """What is known under ``key``; measured now, and kept, where nothing is."""
        if key not in self._known:
            self._known[key] = measure()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "value": self._known[key]}) + "\n")
        return self._known[key]
