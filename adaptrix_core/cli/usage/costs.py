"""`costs`: what was used, by tenant, key, adapter and day, with prices; as a table, CSV, JSONL, or FOCUS records."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.output import table
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.usage.since import Since

if TYPE_CHECKING:
    from adaptrix_core.observe.tracker.costs import CostRow
    from adaptrix_core.observe.tracker.questions import UsageRow

PERIODS_S = {"hour": 3600, "day": 86400}


@click.command()
@click.option("--since", type=Since(), default="30d", show_default=True, help="From when on: 24h or 30d ago, a date.")
@click.option("--until", type=Since(), help="Until when, likewise [default: now].")
@click.option("--tenant", help="Only its requests.")
@click.option("--key", "key_id", metavar="ID", help="Only requests with this key.")
@click.option("--adapter", help="Only requests that it answered.")
@click.option("--per", type=click.Choice(tuple(PERIODS_S)), default="day", show_default=True, help="One line for each.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "csv", "jsonl", "focus")),
    default="table",
    show_default=True,
    help="focus: CSV with the columns of FOCUS 1.2, for tools of finance.",
)
@click.option("--account", default="adaptrix", show_default=True, help="BillingAccountId of FOCUS records.")
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The tracker's file [default: that of --config].",
)
@click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of prices [default: tracker.prices_file of --config].",
)
@output_options
@click.pass_obj
def costs(
    session: Session,
    since: datetime,
    until: datetime | None,
    tenant: str | None,
    key_id: str | None,
    adapter: str | None,
    per: str,
    form: str,
    account: str,
    file: Path | None,
    prices: Path | None,
) -> None:
    """Show what was used and what it costs, from the tracker's file.

    Tokens are exactly those that the answers told, and nothing is rounded. What was used while no price was valid has
    no cost; such lines are not among FOCUS records.
    """
    from adaptrix_core.observe.tracker.costs import cost_rows, rows_day_by_day
    from adaptrix_core.observe.tracker.file import tracker_file
    from adaptrix_core.observe.tracker.prices import read_prices
    from adaptrix_core.observe.tracker.questions import UsageQuestion

    settings = session.settings
    prices = prices or settings.tracker.prices_file
    if prices is None:
        raise click.UsageError("no prices: name a file with --prices, or --config with tracker.prices_file")
    named = {"tenant": tenant, "key_id": key_id, "adapter": adapter}
    only: Any = {name: value for name, value in named.items() if value is not None}
    division: Any = per
    asked = UsageQuestion(since.timestamp(), None if until is None else until.timestamp(), (), division, only)
    found = file or tracker_file(settings.tracker, settings.adapters.state_dir)
    known = read_prices(prices)
    used: Iterator[UsageRow] = rows_day_by_day(found, asked, time.time())
    _print(session, cost_rows(used, known), known.currency, form, PERIODS_S[per], account)


def _print(session: Session, rows: Iterator[CostRow], currency: str, form: str, period_s: int, account: str) -> None:
    from adaptrix_core.observe.tracker.costs import COLUMNS, cost_cells, cost_document
    from adaptrix_core.observe.tracker.focus import FOCUS_COLUMNS, focus_records
    from adaptrix_core.observe.tracker.tables_out import csv_lines, json_lines

    if form == "table":
        found = list(rows)
        document = {"currency": currency, "data": [cost_document(row) for row in found]}
        session.output.result(document, lambda out: _show(out, [cost_cells(row, currency) for row in found], COLUMNS))
        return
    if form == "focus":
        records = (record for row in rows for record in focus_records(row, currency, period_s, account))
        lines = csv_lines(FOCUS_COLUMNS, records)
    else:
        written = csv_lines if form == "csv" else json_lines
        lines = written(COLUMNS, (cost_cells(row, currency) for row in rows))
    for line in lines:
        click.echo(line, nl=False)


def _show(out: Console, cells: list[Any], columns: tuple[str, ...]) -> None:
    out.print(table(columns, [["–" if cell in ("", None) else cell for cell in row] for row in cells]))
