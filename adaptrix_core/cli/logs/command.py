"""`logs`: look up, search and delete what was asked and answered on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from rich.console import Console

    from adaptrix_core.cli.logs.logbook import Logbook, Overview
    from adaptrix_core.cli.logs.turn import LoggedTurn

LIMIT = 20
QUESTION_SHOWN = 80


@click.command()
@click.argument("number", type=int, required=False, metavar="[ID]")
@click.option("--search", metavar="TEXT", help="Show answers where question or answer holds all these words.")
@click.option("--limit", type=click.IntRange(min=1), default=LIMIT, show_default=True, help="Most conversations shown.")
@click.option("--delete", is_flag=True, help="Delete conversation ID.")
@click.option("--clear", is_flag=True, help="Delete every conversation, after asking.")
@click.option("--yes", is_flag=True, help="With --clear: do not ask.")
@output_options
@click.pass_obj
def logs(
    session: Session, number: int | None, search: str | None, limit: int, delete: bool, clear: bool, yes: bool
) -> None:
    """List the logged conversations, newest first, or show conversation ID.

    `adaptrix query` keeps what it asked and what was answered in one SQLite file that only you can read: logs.db in
    $XDG_DATA_HOME/adaptrix (~/.local/share/adaptrix). It holds the newest 2000 conversations and 50 million characters.
    ADAPTRIX_LOGS names another file, ADAPTRIX_LOGS=off keeps none, and `adaptrix query --no-log` leaves one out. Batch
    files are not logged. `adaptrix query --continue ID` goes on with a conversation.
    """
    _refuse_contradictions(number, search, delete, clear)
    book = open_log()
    if delete:
        assert number is not None  # refused above
        book.delete(number)
        session.output.result({"deleted": number}, lambda out: out.print(f"deleted conversation {number}"))
    elif clear:
        _clear(session, book, yes)
    elif search is not None:
        _show_found(session, book.search(search, limit), search)
    elif number is not None:
        _show_conversation(session, book, number)
    else:
        _show_latest(session, book.latest(limit), book)


def open_log() -> Logbook:
    """The log of this user. Raises UsageError where it is switched off."""
    from adaptrix_core.cli.logs.logbook import Logbook
    from adaptrix_core.cli.logs.place import VARIABLE, log_file

    path = log_file()
    if path is None:
        raise click.UsageError(f"the log is switched off by the environment variable {VARIABLE}; unset it")
    return Logbook(path)


def _refuse_contradictions(number: int | None, search: str | None, delete: bool, clear: bool) -> None:
    if delete and number is None:
        raise click.UsageError("--delete needs the ID of a conversation; --clear deletes all of them")
    asked = [name for name, given in (("--search", search is not None), ("--clear", clear)) if given]
    if number is not None and asked:
        raise click.UsageError(f"give ID or {asked[0]}, not both")
    if len(asked) > 1:
        raise click.UsageError(f"give {' or '.join(asked)}, not both")
    if search is not None and not search.strip():
        raise click.UsageError("--search needs at least one word")


def _clear(session: Session, book: Logbook, yes: bool) -> None:
    if not yes:
        click.confirm(f"delete every conversation in {book.path}?", abort=True, err=True)
    count = book.clear()
    session.output.result({"deleted": count}, lambda out: out.print(f"deleted {count} conversations"))


def _show_latest(session: Session, found: Sequence[Overview], book: Logbook) -> None:
    from dataclasses import asdict

    from adaptrix_core.cli.output import table

    def show(out: Console) -> None:
        if not found:
            out.print(f"no conversations in {book.path}", markup=False)
            return
        cells = [
            (entry.id, _local_time(entry.last_at), entry.model, entry.turns, _shortened(entry.first_question))
            for entry in found
        ]
        out.print(table(("id", "last", "model", "answers", "first question"), cells))

    session.output.result([asdict(entry) for entry in found], show)


def _show_conversation(session: Session, book: Logbook, number: int) -> None:
    conversation = book.conversation(number)

    def show(out: Console) -> None:
        if conversation.system:
            out.print(f"system: {conversation.system}\n", markup=False)
        for turn in conversation.turns:
            _print_turn(out, turn, _local_time(turn.asked_at))

    document = {
        "id": conversation.id,
        "model": conversation.model,
        "system": conversation.system,
        "sampling": dict(conversation.sampling),
        "turns": [turn.as_dict() for turn in conversation.turns],
    }
    session.output.result(document, show)


def _show_found(session: Session, found: Sequence[tuple[int, LoggedTurn]], search: str) -> None:
    def show(out: Console) -> None:
        if not found:
            out.print(f"nothing logged holds {search!r}", markup=False)
        for number, turn in found:
            _print_turn(out, turn, f"conversation {number}, {_local_time(turn.asked_at)}")

    session.output.result([{"conversation": number, **turn.as_dict()} for number, turn in found], show)


def _print_turn(out: Console, turn: LoggedTurn, heading: str) -> None:
    from adaptrix_core.cli.output import printable

    out.print(f"[{heading} · {turn.adapter or turn.model}]", style="dim", markup=False)
    out.print(printable(f"> {turn.question}\n{turn.answer}\n"), markup=False)


def _local_time(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUESTION_SHOWN else f"{line[: QUESTION_SHOWN - 1]}…"
