"""`audit`: verify the audit log of a server, and look something up in it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from adaptrix_core.cli.errors import EXIT_FAILED, ErrorEdge
from adaptrix_core.cli.keys.moments import PastMoment
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.output import printable, table
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from adaptrix_core.security.audit.checkpoint import Checkpoint
    from adaptrix_core.security.audit.record import AuditRecord
    from adaptrix_core.security.audit.verification import Verified

Command = TypeVar("Command", bound=Callable[..., Any])

DETAIL_CHARACTERS = 80
"""Of the details of a line, what is shown in the table."""


@click.group(cls=ErrorEdge)
def audit() -> None:
    """Verify an audit log, and look something up in it.

    The log is the directory --dir, or audit.dir of --config; a copy will do. No server is asked.
    """


def log_options(command: Command) -> Command:
    """``--dir``, and what every command has."""
    place = click.option(
        "--dir", "directory", type=click.Path(file_okay=False, path_type=Path), help="The log's directory."
    )
    return place(output_options(command))


@audit.command()
@click.option(
    "--key",
    "keys",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="Public key (PEM) that checkpoints are signed with [default: that beside audit.key_file of --config].",
)
@click.option(
    "--since",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of checkpoints that were kept elsewhere, or a log of the server's: the audit log must agree with them.",
)
@log_options
@click.pass_context
def verify(ctx: click.Context, directory: Path | None, keys: tuple[Path, ...], since: Path | None) -> None:
    """Verify the log: every line, every checkpoint in it, and those of --since.

    Names the first bad line. Without --since, an end that was cut off, or a log that whoever holds the key has written
    anew, cannot be told from a good one. With it, files that end before the first of its checkpoints are not read.
    """
    from adaptrix_core.security.audit.chain import BrokenChain
    from adaptrix_core.security.audit.verification import verify_log

    session = ctx.ensure_object(Session)
    known = _public_keys(session, keys)
    place = _directory(session, directory)
    try:
        with session.output.waiting(f"verifying {place}"):
            verified = verify_log(place, known, _checkpoints(since, known))
    except BrokenChain as error:
        bad = {"file": error.place.file, "line": error.place.line, "seq": error.place.seq, "reason": error.reason}
        shown = printable(f"BAD  {error}")
        session.output.result({"verified": False, "bad": bad}, lambda out: out.print(shown, markup=False))
        ctx.exit(EXIT_FAILED)
    session.output.result({"verified": True, **_document(verified)}, lambda out: _show_verified(out, verified))


@audit.command()
@click.option("-n", "--last", "count", type=click.IntRange(1, 100_000), default=50, show_default=True, help="Lines.")
@click.option("--action", help="Only of this action, such as adapter.load, or of all that begin so, such as adapter.")
@click.option("--tenant", help="Only of this tenant.")
@click.option("--by", "key_id", help="Only by the key of this id.")
@click.option(
    "--outcome", type=click.Choice(["asked", "done", "refused", "failed", "noted"]), help="Only this outcome."
)
@click.option("--after", type=PastMoment(), help="Only after a moment: 12h (ago), or 2027-06-30.")
@log_options
@click.pass_obj
def show(
    session: Session,
    directory: Path | None,
    count: int,
    action: str | None,
    tenant: str | None,
    key_id: str | None,
    outcome: str | None,
    after: datetime | None,
) -> None:
    """Show the last lines of the log. It is not verified.

    With --json, the lines as they are in the log, one object each.
    """
    from adaptrix_core.security.audit.reading import records_of

    def is_wanted(record: AuditRecord) -> bool:
        actor = record.actor
        return (
            (action is None or record.action == action or record.action.startswith(f"{action}."))
            and (tenant is None or (actor is not None and actor.tenant == tenant))
            and (key_id is None or (actor is not None and actor.key_id == key_id))
            and (outcome is None or record.outcome == outcome)
            and (after is None or record.is_after(after))
        )

    records = deque(filter(is_wanted, records_of(_directory(session, directory))), maxlen=count)
    if session.as_json:
        click.echo(b"".join(record.line() for record in records), nl=False)
    else:
        session.output.out.print(table(("seq", "time", "action", "outcome", "by", "target", "details"), _rows(records)))


def _directory(session: Session, directory: Path | None) -> Path:
    found = directory or session.settings.audit.dir
    if found is None:
        raise click.UsageError("no audit log: name its directory with --dir, or --config with audit.dir")
    return found


def _public_keys(session: Session, keys: Sequence[Path]) -> list[Ed25519PublicKey]:
    from adaptrix_core.security.audit.signing_key import public_key_of, read_public_key

    return [read_public_key(path) for path in keys or (public_key_of(session.settings.audit.key_file),)]


def _checkpoints(since: Path | None, keys: Sequence[Ed25519PublicKey]) -> list[Checkpoint]:
    from adaptrix_core.errors import AdaptrixError
    from adaptrix_core.security.audit.checkpoint import BadCheckpoint, open_note
    from adaptrix_core.security.audit.shipping import checkpoints_file

    if since is None:
        return []
    try:
        return [open_note(note, keys) for note in checkpoints_file(since)]
    except BadCheckpoint as error:
        raise AdaptrixError(f"a checkpoint in {since} cannot be relied upon: {error}", code="bad_checkpoint") from error


def _document(verified: Verified) -> dict[str, Any]:
    last = verified.checkpoint
    return {
        "log": verified.log_id,
        "first": verified.first_seq,
        "lines": verified.size,
        "checkpoint": {"lines": last.size, "time": last.time},
        "unsigned": verified.unsigned,
        "half_written": None if verified.half_written is None else str(verified.half_written),
        "confirmed": len(verified.confirmed),
        "older": verified.older,
    }


def _show_verified(out: Console, verified: Verified) -> None:
    last = verified.checkpoint
    lines = [
        f"good  log {verified.log_id}, lines {verified.first_seq} to {verified.size - 1}",
        f"last checkpoint: {last.size} lines at {last.time}; {verified.unsigned} lines since, not vouched for yet",
    ]
    if verified.confirmed or verified.older:
        lines.append(f"checkpoints from elsewhere: {len(verified.confirmed)} agree, {verified.older} of removed lines")
    else:
        lines.append("no checkpoint from elsewhere: an end that was cut off would not be noticed (--since)")
    if verified.half_written is not None:
        lines.append(f"half-written last line: {verified.half_written}; the server puts it aside when it starts")
    out.print("\n".join(lines), markup=False)


def _rows(records: Sequence[AuditRecord]) -> list[tuple[object, ...]]:
    return [
        (
            record.seq,
            _escaped(record.time[:19]),
            _escaped(record.action),
            record.outcome,
            _escaped(f"{record.actor.tenant}/{record.actor.key_id}") if record.actor is not None else "",
            _escaped(record.target),
            _details(record),
        )
        for record in records
    ]


def _details(record: AuditRecord) -> str:
    text = json.dumps(record.details, ensure_ascii=True) if record.details else ""
    return text if len(text) <= DETAIL_CHARACTERS else f"{text[:DETAIL_CHARACTERS]}..."


def _escaped(text: str) -> str:
    """``text`` with what a terminal would obey, or turn around, as escapes: names in the log come from callers."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
