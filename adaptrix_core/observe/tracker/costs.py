"""What usage costs: sums by period, tenant, key and adapter, each with the price that was valid then.

Nothing is rounded: a quantity times its price is a whole number of millionths of millionths of the currency's unit.
Such numbers are added up, and told as decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adaptrix_core.observe.tracker.prices import CHARGED, MICRO, PriceTable
from adaptrix_core.observe.tracker.questions import DIMENSIONS, UsageQuestion, UsageRow, ask
from adaptrix_core.observe.tracker.sums import DAY
from adaptrix_core.observe.tracker.tables_out import Cell, moment

COLUMNS = ("start_time", *DIMENSIONS, "requests", *CHARGED, "currency", "cost")


@dataclass(frozen=True)
class Charge:
    """One kind of thing that was used."""

    what: str
    """One of `CHARGED`."""
    quantity: int
    micro: int
    """Price of a million of it, in millionths of the currency's unit."""

    @property
    def pico(self) -> int:
        """Its cost, in millionths of millionths of the currency's unit."""
        return self.quantity * self.micro


@dataclass(frozen=True)
class CostRow:
    """One period, tenant, key and adapter."""

    usage: UsageRow
    charges: tuple[Charge, ...] | None
    """None where no price is valid."""

    @property
    def pico(self) -> int | None:
        """Its cost, in millionths of millionths of the currency's unit; None where no price is valid."""
        return None if self.charges is None else sum(charge.pico for charge in self.charges)


def told(pico: int) -> str:
    """Millionths of millionths of the currency's unit as a decimal number of that unit, with all of its decimals."""
    whole, rest = divmod(pico, 10**12)
    return f"{whole}.{rest:012d}"


def cost_question(asked: UsageQuestion) -> UsageQuestion:
    """The same question, answered as finely as prices are given."""
    return replace(asked, by=DIMENSIONS, per=asked.per or "day")


def cost_rows(rows: Iterable[UsageRow], prices: PriceTable) -> Iterator[CostRow]:
    """Each row of an answer to `cost_question` with its price."""
    for row in rows:
        price = prices.price_of(row.tenant or "", row.adapter or "", row.start or 0)
        used = {**row.counts, "prompt_tokens": row.counts["prompt_tokens"] - row.counts["cached_tokens"]}
        yield CostRow(
            row, None if price is None else tuple(Charge(what, used[what], price.micro[what]) for what in CHARGED)
        )


def rows_day_by_day(path: Path, asked: UsageQuestion, end: float) -> Iterator[UsageRow]:
    """Rows for `cost_rows` from the tracker's file, however many. end: seconds since 1970, where none is asked for."""
    question = cost_question(asked)
    last = end if asked.end is None else asked.end
    start = question.start // DAY * DAY
    while start < last:
        day = replace(question, start=max(start, question.start), end=min(start + DAY, last))
        yield from ask(path, day, most_rows=None).rows
        start += DAY


def cost_document(row: CostRow) -> dict[str, Any]:
    """A row for JSON; money as decimals in texts."""
    usage = row.usage
    charges = None
    if row.charges is not None:
        charges = [
            {"for": one.what, "quantity": one.quantity, "price": told(one.micro * MICRO), "cost": told(one.pico)}
            for one in row.charges
        ]
    return {
        "start_time": usage.start,
        **{name: getattr(usage, name) for name in DIMENSIONS},
        "requests": usage.counts["requests"],
        "charges": charges,
        "cost": None if row.pico is None else told(row.pico),
    }


def cost_cells(row: CostRow, currency: str) -> tuple[Cell, ...]:
    """A row of a table, by `COLUMNS`."""
    usage = row.usage
    used = [charge.quantity for charge in row.charges or ()] or [
        usage.counts["prompt_tokens"] - usage.counts["cached_tokens"],
        *(usage.counts[name] for name in CHARGED[1:]),
    ]
    cost = None if row.pico is None else told(row.pico)
    who = (getattr(usage, name) for name in DIMENSIONS)
    return (moment(usage.start or 0), *who, usage.counts["requests"], *used, currency, cost)
