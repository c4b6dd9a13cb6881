"""docs/clients.md is written from what was found, and names the versions that are pinned."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from docs import clients

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent


def pins() -> set[str]:
    """All versions that `make test-clients` installs, of Python's clients and npm's."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["clients"]
    apart = (FOLDER / "programs" / "apart.txt").read_text().splitlines()
    packages = [FOLDER / "npm" / "package.json", FOLDER / "npm" / "promptfoo" / "package.json"]
    npm = [version for path in packages for version in json.loads(path.read_text())["dependencies"].values()]
    return {line.split("==")[1] for line in [*extra, *apart] if re.match(r"[\w\[\]-]+==", line)} | set(npm)


def test_the_page_is_written_from_the_document() -> None:
    assert clients.PAGE.read_text() == clients.page(clients.read(clients.DOCUMENT)), "run: python -m docs.clients"


def test_versions_in_the_table_are_the_pinned_ones() -> None:
    told = {entry["client"]: entry["version"] for entry in clients.read(clients.DOCUMENT)}
    stale = {
        name: version for name, version in told.items() if not set(version.split(", ")) <= {*pins(), "from its source"}
    }
    assert not stale, "run: make test-clients, then python -m docs.clients runs/clients.json"


def entry(**fields: Any) -> clients.Entry:
    return {
        "client": "a",
        "version": "1",
        "date": "2026-01-01",
        "calls": {"chat": True},
        "also": [],
        "note": "",
        **fields,
    }


def test_a_page_that_says_more_than_was_found_is_told() -> None:
    known = [entry(calls={"chat": True, "tools": False})]
    assert clients.overstated(known, [entry(date="2026-02-02", calls={"chat": True, "stream": True})]) == []
    assert clients.overstated(known, [entry(client="b")]) == []
    for found in (entry(calls={"chat": False}), entry(calls={}), entry(version="2")):
        assert clients.overstated(known, [found]) == ["a"]


def test_what_was_found_takes_the_place_of_what_was_known() -> None:
    later = entry(date="2026-02-02")
    assert clients.merged([entry(), entry(client="b")], [later]) == [later, entry(client="b")]
