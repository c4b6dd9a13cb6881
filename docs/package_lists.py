"""Writes the list of files into each package's docstring, from the files' own first sentences; ``--check`` compares.

python docs/package_lists.py [--check]
"""

from __future__ import annotations

import ast
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("adaptrix_core", "deployments", "loadtest", "cluster", "benchmarks")
HEADING = "Files:"
"""The line that the list stands under; what is above it is written by hand."""
WIDTH = 118


def summary(path: Path) -> str:
    """The first sentence or paragraph of a file's docstring, in one line."""
    text = ast.get_docstring(ast.parse(path.read_text(), str(path))) or ""
    first = text.split("\n\n")[0].replace("\n", " ")
    return first.split(". ")[0].rstrip(".")


def entries(package: Path) -> dict[str, str]:
    """What a package holds, by name: files first, then folders (with a slash)."""
    files = {
        path.stem: summary(path)
        for path in sorted(package.glob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
    }
    folders = {f"{path.parent.name}/": summary(path) for path in sorted(package.glob("*/__init__.py"))}
    return {**files, **folders}


def listed(package: Path) -> str:
    """The list, as it stands in the docstring."""
    found = entries(package)
    width = max(map(len, found), default=0) + 2
    lines = [
        textwrap.fill(
            name.ljust(width) + what,
            WIDTH,
            subsequent_indent=" " * width,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for name, what in found.items()
    ]
    return "\n".join([HEADING, "", *lines])


def wanted(init: Path) -> str:
    """The whole ``__init__.py`` with its list brought up to date."""
    source = init.read_text()
    node = ast.parse(source).body[0]
    if not isinstance(node, ast.Expr) or node.end_lineno is None:
        raise SystemExit(f"{init} has no docstring")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    by_hand = docstring.split(f"\n{HEADING}\n")[0].strip()
    rest = "".join(source.splitlines(keepends=True)[node.end_lineno :])
    if not entries(init.parent):
        return f'"""{by_hand}"""\n{rest}'
    return f'"""{by_hand}\n\n{listed(init.parent)}\n"""\n{rest}'


def main(arguments: list[str]) -> int:
    """Write the lists, or say which are out of date."""
    stale = []
    for init in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")):
        text = wanted(init)
        if text != init.read_text():
            stale.append(str(init.relative_to(ROOT)))
            if "--check" not in arguments:
                init.write_text(text)
    if stale and "--check" in arguments:
        print(f"the lists of files in {', '.join(stale)} are out of date; run: python docs/package_lists.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
