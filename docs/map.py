"""Writes the tables of folders into docs/map.md, from the packages' own first sentences; ``--check`` compares.

python docs/map.py [--check]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from docs.package_lists import ROOT, entries, summary

PAGE = ROOT / "docs" / "map.md"
TABLE = re.compile(r"(<!-- folders of (?P<package>\w+), written by docs/map\.py -->\n).*?(<!-- end -->)", re.DOTALL)
"""Where a package's table stands in the page, between two comments."""


def rows(folder: Path, package: Path) -> Iterator[tuple[str, str]]:
    """(link to what a folder holds, what that is for): its folders, each followed by those inside it."""
    for init in sorted(folder.glob("*/__init__.py")):
        name = init.parent.relative_to(package).as_posix()
        yield f"[`{name}/`](../{init.relative_to(ROOT).as_posix()})", summary(init)
        yield from rows(init.parent, package)


def table(package: Path) -> str:
    """The package's files beside its folders, then its folders at every depth."""
    files = [
        (f"[`{name}.py`](../{(package / name).relative_to(ROOT).as_posix()}.py)", what)
        for name, what in entries(package).items()
        if not name.endswith("/")
    ]
    lines = [f"| {link} | {what.replace('|', chr(92) + '|')} |" for link, what in [*files, *rows(package, package)]]
    return "\n".join(["| place | what it holds |", "|---|---|", *lines]) + "\n"


def wanted(page: str) -> str:
    """The page with its tables brought up to date."""
    return TABLE.sub(lambda found: f"{found[1]}\n{table(ROOT / found['package'])}\n{found[3]}", page)


def main(arguments: list[str]) -> int:
    """Write the tables, or say that they are out of date."""
    found = PAGE.read_text()
    if found == wanted(found):
        return 0
    if "--check" in arguments:
        print("docs/map.md is out of date; run: python docs/map.py")
        return 1
    PAGE.write_text(wanted(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
