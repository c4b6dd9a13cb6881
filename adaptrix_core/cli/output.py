"""Output of commands: results on stdout, for people or as one JSON document; notes, progress and errors on stderr.

Knows nothing of adapters or servers.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

Advance = Callable[[int], None]
"""Advances a progress bar by a number of steps."""

PIPED_WIDTH = 200
# C0 and C1 but tab and newline: characters that a terminal would obey instead of showing.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """``text`` without control characters: a model or an adapter's author must not move the cursor or set a title."""
    return _CONTROLS.sub("", text)


class Output:
    """The output of one command. as_json: nothing for people is printed; quiet: only results and errors are."""

    def __init__(self, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        # Piped output is not cut to a terminal's width.
        self.out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def result(self, payload: object, show: Callable[[Console], None]) -> None:
        """Print ``payload`` as JSON, or let ``show`` print it for people."""
        if self.as_json:
            click.echo(json.dumps(payload, indent=2, ensure_ascii=False))
        else:
            show(self.out)

    def text(self, piece: str) -> None:
        """Print a piece of a streamed answer at once; made printable on a terminal. Nothing under ``--json``."""
        if not self.as_json:
            click.echo(printable(piece) if self.out.is_terminal else piece, nl=False)

    def note(self, message: str) -> None:
        """Print one line that is meant for people only."""
        if not (self.as_json or self.quiet):
            self.err.print(printable(message), style="dim", markup=False)

    def warn(self, message: str) -> None:
        """Print a warning; only ``--quiet`` silences it."""
        if not self.quiet:
            self.err.print(f"warning: {printable(message)}", style="yellow", markup=False)

    def progress_console(self) -> Console:
        """The console for progress shown by library code: stderr, or none under ``--json`` and ``--quiet``."""
        return Console(stderr=True, quiet=self.as_json or self.quiet)

    @contextmanager
    def waiting(self, message: str) -> Iterator[None]:
        """Show that work of unknown length is under way: a spinner on a terminal, one line elsewhere."""
        if self.as_json or self.quiet or not self.err.is_terminal:
            self.note(message)
            yield
        else:
            with self.err.status(message):
                yield

    @contextmanager
    def bar(self, description: str, total: int | None) -> Iterator[Advance]:
        """A progress bar on a terminal; one line elsewhere."""
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        visible = not (self.as_json or self.quiet) and self.err.is_terminal
        if not visible:
            self.note(description)
        with Progress(*columns, console=self.err, disable=not visible, transient=True) as progress:
            task = progress.add_task(description, total=total)
            yield lambda steps: progress.advance(task, steps)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A plain table; cells are shown as they are, never read as markup. Only the last column wraps."""
    texts = [[printable(click.unstyle(str(cell))) for cell in row] for row in rows]
    made = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns[:-1]):
        made.add_column(column, no_wrap=True, min_width=max(len(row[index]) for row in [columns, *texts]))
    made.add_column(columns[-1])
    for row in texts:
        made.add_row(*(cell.replace("[", r"\[") for cell in row))
    return made
