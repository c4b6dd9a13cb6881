"""Answers of the tracker as documents for JSON and as rows of a table: the same over HTTP and from a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from adaptrix_core.observe.tracker.live_view import LiveFigures
from adaptrix_core.observe.tracker.questions import SHARES, UsageAnswer, UsageQuestion, UsageRow
from adaptrix_core.observe.tracker.sums import COUNTS, LATENCIES
from adaptrix_core.observe.tracker.tables_out import Cell, moment

PERCENTILES = tuple(f"p{share * 100:g}" for share in SHARES)
BUCKET_WIDTHS = {"1h": "hour", "1d": "day"}
"""Periods by which an answer may be divided, in the words of OpenAI's usage API."""
_WHO = ("tenant", "key_id", "adapter")


def usage_document(answer: UsageAnswer, asked: UsageQuestion, tells_dropped: bool = True) -> dict[str, Any]:
    """The answer in full. tells_dropped: whether it is told how many requests of all tenants are in no row."""
    width = next((width for width, per in BUCKET_WIDTHS.items() if per == asked.per), None)
    return {
        "object": "adaptrix.usage",
        "start_time": answer.start,
        "end_time": answer.end,
        "bucket_width": width,
        "group_by": list(asked.by),
        "data": [_row_document(row) for row in answer.rows],
        "dropped": answer.dropped if tells_dropped else None,
    }


def live_document(figures: Iterable[LiveFigures]) -> dict[str, Any]:
    """The last minute."""
    return {"object": "adaptrix.usage.live", "data": [_rounded(one._asdict()) for one in figures]}


def _row_document(row: UsageRow) -> dict[str, Any]:
    rate = row.success_rate
    return {
        "start_time": row.start,
        "tenant": row.tenant,
        "key_id": row.key_id,
        "adapter": row.adapter,
        **row.counts,
        "success_rate": None if rate is None else round(rate, 6),
        "latency": {
            name: {percentile: round(value, 6) for percentile, value in zip(PERCENTILES, seconds, strict=True)}
            for name, seconds in row.latencies.items()
        },
    }


def _rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


def usage_table(document: Mapping[str, Any]) -> tuple[list[str], list[list[Cell]]]:
    """Columns and rows of a usage document: who and when as far as it tells them apart, counts, then percentiles."""
    rows = document["data"]
    told = [name for name in ("start_time", *_WHO) if any(row[name] is not None for row in rows)]
    measured = [(name, p) for name in LATENCIES for p in PERCENTILES if any(name in row["latency"] for row in rows)]
    columns = [*told, *COUNTS, "success_rate", *(f"{name}_{percentile}" for name, percentile in measured)]
    return columns, [_cells(row, told, measured) for row in rows]


def _cells(row: Mapping[str, Any], told: list[str], measured: list[tuple[str, str]]) -> list[Cell]:
    who = [moment(row[name]) if name == "start_time" else row[name] for name in told]
    times = [row["latency"].get(name, {}).get(percentile) for name, percentile in measured]
    return [*who, *(row[name] for name in COUNTS), row["success_rate"], *times]
