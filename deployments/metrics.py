"""`GET /metrics` in Prometheus' text form: what this ingress counted, and what each replica last reported.

Labels are bounded: who answered by the catalogue, replicas by the cluster. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

from deployments.wire import Report

__all__ = ["CONTENT_TYPE", "Metrics"]

disable_created_metrics()

_LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one ingress."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "adaptrix_requests", "HTTP requests by path and status", ["path", "status"], registry=self._registry
        )
        self.answers = Counter(
            "adaptrix_answers",
            "Generations by who answered: adapter, base, mix, fork",
            ["adapter"],
            registry=self._registry,
        )
        self.fallbacks = Counter(
            "adaptrix_fallbacks", "Generations that the base model took over", registry=self._registry
        )
        self.first_token = Histogram(
            "adaptrix_time_to_first_token_seconds",
            "From the request's arrival to its first token",
            buckets=_LATENCY_BUCKETS,
            registry=self._registry,
        )
        self.tokens = Counter("adaptrix_generated_tokens", "Tokens sent to clients", registry=self._registry)

    def render(self, reports: Sequence[Report]) -> bytes:
        """All metrics as text; ``reports`` are the live replicas'."""
        replicas = CollectorRegistry()
        replicas.register(_ReplicaCollector(reports))
        return generate_latest(self._registry) + generate_latest(replicas)


class _ReplicaCollector(Collector):
    def __init__(self, reports: Sequence[Report]) -> None:
        self._reports = reports

    def collect(self) -> Iterable[Metric]:
        for name in sorted({name for report in self._reports for name in report.stats}):
            gauge = GaugeMetricFamily(f"adaptrix_replica_{name}", "As the replica last reported it", labels=["replica"])
            for report in self._reports:
                if name in report.stats:
                    gauge.add_metric([report.replica_id], report.stats[name])
            yield gauge
        held = GaugeMetricFamily("adaptrix_replica_adapters", "Adapters by residency", labels=["replica", "residency"])
        for report in self._reports:
            places = [holding.residency for holding in report.held.values()]
            for place in ("device", "host", "disk"):
                held.add_metric([report.replica_id, place], places.count(place))
            held.add_metric([report.replica_id, "refused"], len(report.refused))
        yield held
