"""Checks that every relative link, and every picture, in the repository's Markdown points at something that exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
ELSEWHERE = ("http://", "https://", "mailto:", "#")


def broken_links(page: Path) -> list[str]:
    """``page:line: target`` for each link of ``page`` that leads nowhere."""
    found = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        for match in LINK.finditer(line):
            target = match[1] or match[2]
            if target.startswith(ELSEWHERE):
                continue
            if not (page.parent / target.split("#")[0]).exists():
                found.append(f"{page.relative_to(ROOT)}:{number}: {target}")
    return found


def main() -> int:
    """Print every broken link; the exit code."""
    listing = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    pages = [ROOT / name for name in listing.stdout.split()]
    broken = [link for page in pages if page.exists() for link in broken_links(page)]
    print(*broken, sep="\n", end="\n" if broken else "", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
