"""Writes docs/clients.md from docs/clients.json, which is what the tests of clients found.

python -m docs.clients                the page from the document; ``--check`` compares
python -m docs.clients FOUND          takes what `make test-clients` found into the document first
python -m docs.clients --compare FOUND   says where the page claims more than what was found
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from docs.written_page import write_or_compare

PAGE = Path(__file__).with_name("clients.md")
DOCUMENT = Path(__file__).with_name("clients.json")
CALLS = ("chat", "stream", "history", "structured", "tools")
HEAD = """# Clients

Programs and libraries that were run against this server, each as its authors ship it: only the address, a key and the
model are set. One server for all of them, the default base model of 135M parameters: the tests say that calls are
answered and what comes back parses, not that it is wise.

- `make test-clients` installs them, pinned, and runs all of this (`tests/clients/`); CI does the same. The extra
  `clients` has those that can live beside this package; those that cannot, and why, stand in
  `tests/clients/programs/apart.txt`, npm's in `tests/clients/npm/package.json`.
- *chat*: a question and its answer; *stream*: the same in parts, which join to the whole; *history*: a second turn that
  sends the first; *structured*: an object of a given schema; *tools*: a call of a function with arguments of its
  schema, its result, and the answer on it.
- A dash: the client has no such call, or none was made.

This page is written by `python -m docs.clients` from what the tests found.
"""

Entry = dict[str, Any]


def page(entries: list[Entry]) -> str:
    """The whole page."""
    lines = [
        f"| client | version | tested | {' | '.join(CALLS)} | also tested, and notes |",
        f"|---|---|---|{'---|' * len(CALLS)}---|",
    ]
    for entry in sorted(entries, key=lambda one: str(one["client"]).lower()):
        cells = [cell(entry["calls"].get(call)) for call in CALLS]
        remarks = ". ".join(part for part in (entry["note"], "; ".join(entry["also"])) if part)
        lines.append("| " + " | ".join([entry["client"], entry["version"], entry["date"], *cells, remarks]) + " |")
    return HEAD + "\n" + "\n".join(lines) + "\n"


def cell(is_held: bool | None) -> str:
    """What stands in a call's column."""
    return "–" if is_held is None else "yes" if is_held else "**no**"


def read(path: Path) -> list[Entry]:
    """The entries of a document."""
    entries: list[Entry] = json.loads(path.read_text())
    return entries


def merged(known: list[Entry], found: list[Entry]) -> list[Entry]:
    """What is known, with what was found in its place."""
    by_name = {entry["client"]: entry for entry in [*known, *found]}
    return [by_name[name] for name in sorted(by_name)]


def overstated(known: list[Entry], found: list[Entry]) -> list[str]:
    """Clients of which the document says more than what was found: another version, or a call that did not hold.

    Clients that did not run are passed over.
    """
    by_name = {entry["client"]: entry for entry in known}
    return [
        entry["client"]
        for entry in found
        if (told := by_name.get(entry["client"])) is not None
        and (
            told["version"] != entry["version"]
            or any(told["calls"][call] and not entry["calls"].get(call) for call in told["calls"])
        )
    ]


def main(arguments: list[str]) -> int:
    """Write the page, or compare."""
    files = [Path(argument) for argument in arguments if not argument.startswith("--")]
    if "--compare" in arguments:
        wrong = overstated(read(DOCUMENT), read(files[0]))
        if wrong:
            print(f"docs/clients.md says more than was found of {', '.join(wrong)}; python -m docs.clients {files[0]}")
        return int(bool(wrong))
    if files:
        entries = merged(read(DOCUMENT) if DOCUMENT.exists() else [], read(files[0]))
        DOCUMENT.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    return write_or_compare(PAGE, page(read(DOCUMENT)), arguments, "clients")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
