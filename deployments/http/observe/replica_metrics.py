"""Replicas' reports as Prometheus metrics: their numbers, counts by adapter, and the names that gateways read.

The `vllm:` names are those of the Gateway API Inference Extension's model server protocol. A gateway treats this server
as one model server, so they are sums over the replicas behind it.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence

from cachetools import FIFOCache
from prometheus_client import Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from adaptrix_core.digests import BundleDigest
from adaptrix_core.observe.top_labels import OTHER, TopLabels
from deployments.http.observe.replica_numbers import replica_numbers
from deployments.shared.wire import Report

MAX_REPLICAS = 256
"""Most replicas whose last counts are remembered, silent ones too: their counts must not be added twice."""

Names = Mapping[BundleDigest, str]
"""The public name of each bundle."""


class ReplicaNumbers(Collector):
    """Each replica's numbers as it last reported them."""

    def __init__(self, reports: Sequence[Report], names: Names, labels: TopLabels) -> None:
        self._reports = reports
        self._names = names
        self._labels = labels

    def collect(self) -> Iterable[Metric]:
        """One metric per number, one for residency, one for rows by adapter."""
        yield from replica_numbers(self._reports)
        held = GaugeMetricFamily("adaptrix_replica_adapters", "Adapters by residency", labels=["replica", "residency"])
        for report in self._reports:
            places = [holding.residency for holding in report.held.values()]
            for place in ("device", "host", "disk"):
                held.add_metric([report.replica_id, place], places.count(place))
            held.add_metric([report.replica_id, "refused"], len(report.refused))
        yield held
        yield self._rows()

    def _rows(self) -> Metric:
        rows: Tally[tuple[str, str]] = Tally()
        for report in self._reports:
            for bundle, numbers in report.adapters.items():
                label = self._labels.label_of(self._names.get(bundle, OTHER))
                rows[label, "running"] += numbers.rows_running
                rows[label, "waiting"] += numbers.rows_waiting
        gauge = GaugeMetricFamily(
            "adaptrix_adapter_rows", "Rows in the engines of all replicas, by adapter", labels=["adapter", "state"]
        )
        for labels, number in sorted(rows.items()):
            gauge.add_metric(labels, number)
        return gauge


class AdapterCounters:
    """Hits, loads and evictions by adapter and tier, summed over present and past replicas, as of their last scrape."""

    def __init__(self, labels: TopLabels, counter: Callable[..., Counter]) -> None:
        self._labels = labels
        self._counters = {
            "hit": counter("adaptrix_adapter_hits", "Where rows found their adapter", "tier"),
            "load": counter("adaptrix_adapter_loads", "Adapters brought into this tier", "tier"),
            "eviction": counter("adaptrix_adapter_evictions", "Adapters evicted to make room", "tier"),
        }
        self._seen: FIFOCache[str, dict[tuple[BundleDigest, str, str], int]] = FIFOCache(MAX_REPLICAS)
        """Last counts by replica id; the replica that has not reported for longest is dropped."""

    def count(self, reports: Sequence[Report], names: Names) -> None:
        """Add the counts since the last call."""
        for report in reports:
            before = self._seen.pop(report.replica_id, {})
            now = self._seen[report.replica_id] = {}
            for bundle, numbers in report.adapters.items():
                label = self._labels.label_of(names.get(bundle, OTHER))
                for event, tiers in numbers.counts.items():
                    for tier, number in tiers.items():
                        now[bundle, event, tier] = number
                        known = before.get((bundle, event, tier), 0)
                        # Fewer than known: the bundle was unloaded and loaded again in between.
                        self._counters[event].labels(label, tier).inc(number - known if number >= known else number)


class VllmGauges(Collector):
    """The gauges that a gateway reads of a model server, under vLLM's names."""

    def __init__(self, reports: Sequence[Report], names: Names) -> None:
        self._reports = reports
        self._names = names

    def collect(self) -> Iterable[Metric]:
        """The gauges; none before a replica has reported, lest a gateway mistake the server for an idle one."""
        if not self._reports:
            return
        model = [self._reports[0].base_id]
        usage = self._sum("kv_cache_usage") / len(self._reports)
        for name, documentation, value in (
            ("num_requests_running", "Rows in running batches", self._sum("rows_running")),
            ("num_requests_waiting", "Rows that wait to be scheduled", self._sum("rows_waiting")),
            ("kv_cache_usage_perc", "Share of KV blocks in use, 1 is all", usage),
            ("gpu_cache_usage_perc", "The older name of vllm:kv_cache_usage_perc", usage),
        ):
            gauge = GaugeMetricFamily(f"vllm:{name}", documentation, labels=["model_name"])
            gauge.add_metric(model, value)
            yield gauge
        config = GaugeMetricFamily("vllm:cache_config_info", "KV blocks", labels=["block_size", "num_gpu_blocks"])
        size = str(int(self._reports[0].stats.get("kv_block_size", 0)))
        config.add_metric([size, str(int(self._sum("kv_blocks")))], 1)
        yield config
        yield self._lora()

    def _lora(self) -> Metric:
        gauge = GaugeMetricFamily(
            "vllm:lora_requests_info",
            "Adapters with running and with waiting rows; the value is the time of the report",
            labels=["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
        )
        numbers = [(self._names.get(p), n) for report in self._reports for p, n in report.adapters.items()]
        running = sorted({name for name, number in numbers if name and number.rows_running})
        waiting = sorted({name for name, number in numbers if name and number.rows_waiting})
        gauge.add_metric([str(int(self._sum("max_adapters"))), ",".join(running), ",".join(waiting)], time.time())
        return gauge

    def _sum(self, name: str) -> float:
        return sum(report.stats.get(name, 0) for report in self._reports)
