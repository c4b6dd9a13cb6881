"""Writes docs/cli.md from the command line's own help; ``--check`` only says whether it is current."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

import click

from adaptrix_core.cli.main import cli

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100
OPENING = """\
# The `adaptrix` command

Generated from `adaptrix --help` by `make docs`; `make check` fails when it is out of date.

Every command takes `--json` (one JSON document on stdout; errors as JSON on stderr), `--config`, `-v` and `-q`.
Relative paths in a settings file start from the project's root, wherever the file lies.
A file given with `--config` is read and checked whole by every command, even by those that need nothing of it.
Exit codes: 0 done, 1 failed, 2 wrong usage.
"""


def reference() -> str:
    """The whole page as Markdown."""
    parts = [OPENING, _section("adaptrix", cli, None)]
    parts += [_section(f"adaptrix {name}", command, name) for name, command in sorted(cli.commands.items())]
    return "\n".join(parts)


def _section(title: str, command: click.Command, name: str | None) -> str:
    parent = click.Context(cli, info_name="adaptrix", terminal_width=WIDTH, max_content_width=WIDTH)
    if name is None:
        context = parent
    else:
        context = click.Context(command, info_name=name, parent=parent)
    lines = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    return f"## {title}\n\n```\n{lines}\n```\n"


def main() -> int:
    """Write or check the page; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")
    wanted = reference()
    if not parser.parse_args().check:
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    found = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    difference = difflib.unified_diff(
        found.splitlines(), wanted.splitlines(), "docs/cli.md", "adaptrix --help", lineterm=""
    )
    if found != wanted:
        print("docs/cli.md is out of date; run `make docs`", *difference, sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
