"""Pages that are written from the code: put in place, or compared with what they would be now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def write_or_compare(page: Path, text: str, arguments: Sequence[str], module: str) -> int:
    """Write ``text`` to the page; with ``--check`` among the arguments, compare. The exit status.

    module: the one that writes the page, for the message.
    """
    if "--check" not in arguments:
        page.write_text(text)
        return 0
    if page.exists() and page.read_text() == text:
        return 0
    print(f"docs/{page.name} is out of date; run: python -m docs.{module}")
    return 1


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines)) + "\n"
