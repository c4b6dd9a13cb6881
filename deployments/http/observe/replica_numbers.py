"""Name and type of each number of a replica's report in Prometheus' terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from deployments.shared.wire import Report


@dataclass(frozen=True)
class Number:
    """One number of ``Report.stats``."""

    metric: str
    """Name without ``adaptrix_replica_`` and, for a counter, without ``_total``; in base units."""
    documentation: str
    only_grows: bool = False
    """Whether it is a counter since the replica's start; else a gauge."""


NUMBERS: Mapping[str, Number] = {
    "rows_running": Number("rows_running", "Rows in the running batch"),
    "rows_waiting": Number("rows_waiting", "Rows that wait"),
    "longest_wait_s": Number("longest_wait_seconds", "Since the arrival of the oldest row that has not begun"),
    "backlog_tokens": Number("backlog_tokens", "Tokens of prompts and answers promised and not computed"),
    "kv_blocks": Number("kv_blocks", "KV blocks"),
    "kv_block_size": Number("kv_block_size_tokens", "Tokens in one KV block"),
    "kv_cache_usage": Number("kv_cache_usage_ratio", "Share of KV blocks in use, 1 is all"),
    "steps": Number("steps", "Steps computed", only_grows=True),
    "tokens_generated": Number("tokens_generated", "Tokens generated", only_grows=True),
    "preemptions": Number("preemptions", "Rows that gave their memory back", only_grows=True),
    "layer_tokens_computed": Number("layer_tokens_computed", "Layers times tokens computed", only_grows=True),
    "layer_tokens_taken_over": Number(
        "layer_tokens_taken_over", "Layers times tokens found in the cache", only_grows=True
    ),
    "cut": Number("cut", "First layer of the branch; 0 for one span"),
    "max_adapters": Number("max_adapters", "Adapters, as large as the largest there, that the device has room for"),
}


def replica_numbers(reports: Sequence[Report]) -> Iterable[Metric]:
    """One metric per number that some replica reports, labelled by replica."""
    for name, number in NUMBERS.items():
        kind = CounterMetricFamily if number.only_grows else GaugeMetricFamily
        family = kind(f"adaptrix_replica_{number.metric}", number.documentation, labels=["replica"])
        for report in reports:
            if name in report.stats:
                family.add_metric([report.replica_id], report.stats[name])
        if family.samples:
            yield family
