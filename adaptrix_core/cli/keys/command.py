"""`keys`: make, list, rotate and end API keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.table import Table

from adaptrix_core.cli.errors import ErrorEdge
from adaptrix_core.cli.keys.moments import Duration, Moment
from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session

if TYPE_CHECKING:
    from deployments.callers.key_file import KeyRecord

Command = TypeVar("Command", bound=Callable[..., Any])

ROLES = ("viewer", "user", "curator", "owner", "operator")


@click.group(cls=ErrorEdge)
def keys() -> None:
    """Make, list, rotate and end API keys, in the file that a server follows.

    The file is --file, or security.api_keys_file of --config. A running server takes a change over within about a
    second, and ends the requests of a key that stopped working. Keys are shown once, when they are made: the file has
    their hashes.
    """


def key_file_options(command: Command) -> Command:
    """``--file``, and what every command has."""
    file = click.option("--file", type=click.Path(dir_okay=False, path_type=Path), help="The keys file.")
    return file(output_options(command))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--tenant", required=True, help="Whose it is: tenants share no files, answers or cached prompts.")
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="What it may do [default: user].")
@click.option("--expires", type=Moment(), help="When it stops working: 90d, or 2027-06-30 [default: never].")
@key_file_options
@click.pass_obj
def create(
    session: Session, key_id: str, tenant: str, roles: tuple[str, ...], expires: datetime | None, file: Path | None
) -> None:
    """Make a key called ID."""
    from deployments.callers.key_changes import created

    _change(session, file, lambda records: created(records, key_id, tenant, roles or ("user",), expires), key_id)


@keys.command("list")
@key_file_options
@click.pass_obj
def _list(session: Session, file: Path | None) -> None:
    """List the keys: whose they are, what they may do, and whether they work."""
    from deployments.callers.key_file import read_keys

    records = read_keys(_file(session, file))
    now = time.time()
    rows = [_row(record, now) for record in records]
    session.output.result({"keys": rows}, lambda out: out.print(_table(rows)))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--overlap", type=Duration(), default="24h", show_default=True, help="How long the former key works on.")
@key_file_options
@click.pass_obj
def rotate(session: Session, key_id: str, overlap: timedelta, file: Path | None) -> None:
    """Give ID another key; the former one works on for a while."""
    from deployments.callers.key_changes import rotated

    until = datetime.now(UTC).replace(microsecond=0) + overlap
    _change(session, file, lambda records: rotated(records, key_id, until), key_id)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--at", type=Moment(), default="0m", help="When it stops working: 90d, or 2027-06-30 [default: now].")
@key_file_options
@click.pass_obj
def expire(session: Session, key_id: str, at: datetime, file: Path | None) -> None:
    """Have ID stop working, now or at a moment."""
    from deployments.callers.key_changes import changed

    _change(session, file, lambda records: (changed(records, key_id, expires=at), None), key_id)


@keys.command()
@click.argument("key_id", metavar="ID")
@key_file_options
@click.pass_obj
def disable(session: Session, key_id: str, file: Path | None) -> None:
    """Have ID not work until it is enabled."""
    from deployments.callers.key_changes import changed

    _change(session, file, lambda records: (changed(records, key_id, disabled=True), None), key_id)


@keys.command()
@click.argument("key_id", metavar="ID")
@key_file_options
@click.pass_obj
def enable(session: Session, key_id: str, file: Path | None) -> None:
    """Have a disabled ID work again."""
    from deployments.callers.key_changes import changed

    _change(session, file, lambda records: (changed(records, key_id, disabled=False), None), key_id)


def _change(
    session: Session,
    file: Path | None,
    change: Callable[[tuple[KeyRecord, ...]], tuple[tuple[KeyRecord, ...], str | None]],
    key_id: str,
) -> None:
    """Change the file, and show the key, and a new key where one was made."""
    from deployments.callers.key_file import change_keys

    records, made = change_keys(_file(session, file), change)
    row = _row(next(record for record in records if record.id == key_id), time.time())
    shown = f"{key_id}: {row['state']}" if made is None else made
    document = row if made is None else {**row, "key": made}
    session.output.result(document, lambda out: out.print(shown, markup=False))


def _file(session: Session, file: Path | None) -> Path:
    found = file or session.settings.security.api_keys_file
    if found is None:
        raise click.UsageError("no keys file: name one with --file, or --config with security.api_keys_file")
    return found


def _row(record: KeyRecord, now: float) -> dict[str, Any]:
    document = record.model_dump(mode="json", exclude={"sha256", "former", "disabled"})
    state = record.why_refused(now) or "works"
    if record.former is not None and record.former.until.timestamp() > now:
        state += f"; its former key does until {record.former.until:%Y-%m-%dT%H:%M:%SZ}"
    return {**document, "allows": sorted(record.principal.scopes), "state": state}


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("id", "tenant", "allows", "expires", "state", box=None, header_style="bold")
    for row in rows:
        table.add_row(row["id"], row["tenant"], ", ".join(row["allows"]), row["expires"] or "never", row["state"])
    return table
