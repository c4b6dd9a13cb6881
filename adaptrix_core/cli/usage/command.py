"""`stats`: how many requests, by whom and for whom, their tokens, and how long they took."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from adaptrix_core.cli.names import complete_adapters
from adaptrix_core.cli.options import output_options, target_options
from adaptrix_core.cli.output import table
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.usage.since import Since

DIMENSIONS = ("tenant", "key_id", "adapter")
WIDTHS = {"hour": "1h", "day": "1d"}
SHOWN = ("requests", "answered", "refused", "failed", "abandoned", "prompt_tokens", "completion_tokens")
SHOWN_LATENCIES = (("first_token_s", "p50"), ("first_token_s", "p95"), ("per_token_s", "p50"), ("total_s", "p95"))


@dataclass(frozen=True)
class StatsAsked:
    """What is asked for."""

    since: datetime
    until: datetime | None
    by: tuple[str, ...]
    per: str | None
    only: dict[str, str]


@click.command()
@click.option(
    "--since", type=Since(), default="24h", show_default=True, help="From when on: 30m, 24h or 7d ago, a date."
)
@click.option("--until", type=Since(), help="Until when, likewise [default: now].")
@click.option(
    "--adapter", shell_complete=complete_adapters, help="Only requests that it answered (base, mix, fork, …)."
)
@click.option("--tenant", help="Only its requests; with keys, operators see all of them.")
@click.option("--key", "key_id", metavar="ID", help="Only requests with this key.")
@click.option(
    "--by",
    type=click.Choice(DIMENSIONS),
    multiple=True,
    default=("adapter",),
    show_default=True,
    help="One line for each; may be given several times.",
)
@click.option("--per", type=click.Choice(tuple(WIDTHS)), help="One line for each hour or day.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for spreadsheets, with every figure.")
@click.option(
    "--requests", "single", is_flag=True, help="With --file: print each request, as JSONL, or with --csv as a table."
)
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read the tracker's file itself (setting tracker.file) instead of asking a server.",
)
@target_options
@output_options
@click.pass_obj
def stats(
    session: Session,
    since: datetime,
    until: datetime | None,
    adapter: str | None,
    tenant: str | None,
    key_id: str | None,
    by: tuple[str, ...],
    per: str | None,
    as_csv: bool,
    single: bool,
    file: Path | None,
) -> None:
    """Show figures of past requests: how many, how they ended, their tokens, how long they took.

    Percentiles are at most 5 % from the true ones. The time of each request is that of its end, in UTC.
    """
    if session.local:
        raise click.UsageError("--local: an engine of one's own keeps no figures; name a server's file with --file")
    if single and file is None:
        raise click.UsageError("--requests needs --file: single requests are read from the tracker's file")
    named = {"adapter": adapter, "tenant": tenant, "key_id": key_id}
    asked = StatsAsked(since, until, by, per, {name: value for name, value in named.items() if value is not None})
    if single and file is not None:
        _print_requests(file, asked, as_csv)
        return
    document = _from_file(file, asked) if file is not None else asyncio.run(_from_server(session, asked))
    if as_csv:
        from adaptrix_core.observe.tracker.documents import usage_table
        from adaptrix_core.observe.tracker.tables_out import csv_lines

        _print_lines(csv_lines(*usage_table(document)))
    else:
        session.output.result(document, lambda out: _show(out, document))


async def _from_server(session: Session, asked: StatsAsked) -> dict[str, Any]:
    from adaptrix_core.cli.remote import RemoteTarget

    parameters = {
        "start_time": asked.since.isoformat(),
        "group_by": ",".join(asked.by),
        **({} if asked.until is None else {"end_time": asked.until.isoformat()}),
        **({} if asked.per is None else {"bucket_width": WIDTHS[asked.per]}),
        **asked.only,
    }
    async with RemoteTarget(session.url, session.api_key) as target:
        return await target.usage(parameters)


def _from_file(file: Path, asked: StatsAsked) -> dict[str, Any]:
    from adaptrix_core.observe.tracker.documents import usage_document
    from adaptrix_core.observe.tracker.questions import UsageQuestion, ask

    until = None if asked.until is None else asked.until.timestamp()
    by: Any = tuple(name for name in DIMENSIONS if name in asked.by)
    per: Any = asked.per
    only: Any = asked.only
    question = UsageQuestion(asked.since.timestamp(), until, by, per, only)
    return usage_document(ask(file, question), question)


def _print_requests(file: Path, asked: StatsAsked, as_csv: bool) -> None:
    from adaptrix_core.observe.tracker.request_rows import COLUMNS, request_rows
    from adaptrix_core.observe.tracker.tables_out import csv_lines, json_lines

    rows = request_rows(file, asked.since.timestamp(), None if asked.until is None else asked.until.timestamp())
    places = {COLUMNS.index(name): value for name, value in asked.only.items()}
    meant = (row for row in rows if all(row[place] == value for place, value in places.items()))
    _print_lines((csv_lines if as_csv else json_lines)(COLUMNS, meant))


def _print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line, nl=False)


def _show(out: Console, document: dict[str, Any]) -> None:
    from adaptrix_core.observe.tracker.tables_out import moment

    until = "now" if document["end_time"] is None else moment(document["end_time"])
    out.print(f"from {moment(document['start_time'])} until {until}", markup=False)
    rows = document["data"]
    told = [name for name in ("start_time", *DIMENSIONS) if any(row[name] is not None for row in rows)]
    columns = (*told, *SHOWN, *(f"{name} {percentile}" for name, percentile in SHOWN_LATENCIES))
    out.print(table(columns, [_cells(row, told) for row in rows]))
    if document["dropped"]:
        out.print(f"{document['dropped']} further requests are in no line: there was no room to note them")


def _cells(row: dict[str, Any], told: list[str]) -> list[object]:
    from adaptrix_core.observe.tracker.tables_out import moment

    who = [moment(row[name]) if name == "start_time" else row[name] or "–" for name in told]
    times = [row["latency"].get(name, {}).get(percentile) for name, percentile in SHOWN_LATENCIES]
    return [*who, *(row[name] for name in SHOWN), *("–" if seconds is None else f"{seconds:.3f}" for seconds in times)]
