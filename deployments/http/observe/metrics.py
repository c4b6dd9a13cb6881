"""`GET /metrics` in Prometheus' text form: this ingress's counters, and each replica's last report.

Labels are bounded: adapters by `TopLabels` over the catalogue's names, replicas by the cluster; nothing that callers
make up becomes one. Knows no HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.metrics import MetricWrapperBase

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.observe.top_labels import TopLabels
from deployments.http.observe.batch_metrics import BatchLines
from deployments.http.observe.replica_metrics import AdapterCounters, ReplicaNumbers, VllmGauges
from deployments.shared.catalogue import Catalogue
from deployments.shared.model_ids import COMPOSITION, FORK, MIX
from deployments.shared.wire import Report, RowTimes

__all__ = ["CONTENT_TYPE", "Metrics"]

disable_created_metrics()

_FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_PER_TOKEN_S = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1)
_QUEUE_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60)
_WHOLE_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LOAD_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1)


class Metrics:
    """Counters of one ingress."""

    def __init__(self, max_adapters: int = 50) -> None:
        """max_adapters: adapters with labels of their own."""
        self._registry = CollectorRegistry()
        self._by_adapter: list[MetricWrapperBase] = []
        self._labels = TopLabels(max_adapters, self._drop, reserved=(MIX, FORK))
        self.requests = Counter(
            "adaptrix_requests", "HTTP requests by path and status", ["path", "status"], registry=self._registry
        )
        self.fallbacks = Counter(
            "adaptrix_fallbacks", "Generations that the base model took over", registry=self._registry
        )
        self.continuations = Counter(
            "adaptrix_continuations",
            "Calls that lost their replica and were handed to another",
            registry=self._registry,
        )
        self.untracked = Counter(
            "adaptrix_tracker_dropped",
            "Requests that the tracker does not know of, as too many waited for it",
            registry=self._registry,
        )
        self.resolve = Histogram(
            "adaptrix_resolve_seconds",
            "Finding out who answers, by the router where it was asked",
            buckets=_QUEUE_S,
            registry=self._registry,
        )
        self._answers = self._counter("adaptrix_answers", "Generations by who answered: adapter, base, mix, fork")
        self._rows = self._counter("adaptrix_rows", "Ended rows by who answered and why they ended", "finish_reason")
        self._tokens = self._counter("adaptrix_generated_tokens", "Tokens sent to clients")
        self._prompt_tokens = self._counter("adaptrix_prompt_tokens", "Prompt tokens of ended rows")
        self._hits = self._counter(
            "adaptrix_prefix_hit_tokens",
            "Tokens taken over from the KV cache instead of being computed",
            "span",
            "tier",
        )
        self._first_token = self._histogram(
            "adaptrix_time_to_first_token_seconds", "From the request's arrival to its first token", _FIRST_TOKEN_S
        )
        self._per_token = self._histogram(
            "adaptrix_time_per_output_token_seconds", "Mean time between a row's tokens", _PER_TOKEN_S
        )
        self._whole = self._histogram("adaptrix_request_seconds", "From the request's arrival to its end", _WHOLE_S)
        self._queue = self._histogram("adaptrix_queue_seconds", "Rows waiting for the running batch", _QUEUE_S)
        self._load = self._histogram(
            "adaptrix_adapter_load_seconds", "Rows waiting for their adapters to be put on the device", _LOAD_S
        )
        self._replicas = AdapterCounters(self._labels, self._counter)

    def begun(self, kind: str, first_token_s: float) -> None:
        """Note that a generation has its first token; kind: label of what answers."""
        label = self._use(kind)
        self._answers.labels(label).inc()
        self._first_token.labels(label).observe(first_token_s)

    def tokens_sent(self, kind: str, number: int) -> None:
        """Count tokens that go to the client."""
        self._tokens.labels(self._label(kind)).inc(number)

    def row_ended(self, kind: str, num_prompt_tokens: int, reason: str) -> None:
        """Count a row that has ended."""
        label = self._label(kind)
        self._rows.labels(label, reason).inc()
        self._prompt_tokens.labels(label).inc(num_prompt_tokens)

    def row_measured(self, kind: str, num_tokens: int, times: RowTimes) -> None:
        """Observe the engine's times of a row that has ended."""
        label = self._label(kind)
        self._queue.labels(label).observe(times.queued_s)
        if label != BASE:
            self._load.labels(label).observe(times.load_s)
        if num_tokens > 1:
            self._per_token.labels(label).observe(times.decode_s / (num_tokens - 1))
        for span, taken in zip(span_names(len(times.taken_over)), times.taken_over, strict=True):
            self._hits.labels(label, span, "device").inc(taken)

    def ended(self, kind: str, total_s: float) -> None:
        """Note that a generation has ended, with all of its rows."""
        self._whole.labels(self._label(kind)).observe(total_s)

    def render(self, catalogue: Catalogue, reports: Sequence[Report], batch_lines: Mapping[str, int]) -> bytes:
        """All metrics as text; ``reports`` are the live replicas'. batch_lines: answered ones, by outcome."""
        public_ones_last = sorted(catalogue.entries, key=lambda entry: not entry.tenant)
        names = {entry.bundle_digest: entry.full_name for entry in public_ones_last}
        self._replicas.count(reports, names)
        replicas = CollectorRegistry()
        replicas.register(ReplicaNumbers(reports, names, self._labels))
        replicas.register(VllmGauges(reports, names))
        replicas.register(BatchLines(batch_lines))
        return generate_latest(self._registry) + generate_latest(replicas)

    def _use(self, kind: str) -> str:
        return kind if kind in (BASE, MIX, FORK, COMPOSITION) else self._labels.use(kind)

    def _label(self, kind: str) -> str:
        return kind if kind in (BASE, MIX, FORK, COMPOSITION) else self._labels.label_of(kind)

    def _counter(self, name: str, documentation: str, *more: str) -> Counter:
        counter = Counter(name, documentation, ["adapter", *more], registry=self._registry)
        self._by_adapter.append(counter)
        return counter

    def _histogram(self, name: str, documentation: str, buckets: Sequence[float]) -> Histogram:
        histogram = Histogram(name, documentation, ["adapter"], buckets=buckets, registry=self._registry)
        self._by_adapter.append(histogram)
        return histogram

    def _drop(self, label: str) -> None:
        for metric in self._by_adapter:
            metric.remove_by_labels({"adapter": label})


def span_names(count: int) -> tuple[str, ...]:
    """Labels of the engine's spans of layers, lowest first."""
    return ("all",) if count == 1 else ("trunk", "branch")[:count]
