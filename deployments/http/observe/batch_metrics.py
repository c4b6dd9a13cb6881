"""What whoever works on batches has counted, as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class BatchLines(Collector):
    """Lines of batches that got an answer or an error."""

    def __init__(self, by_outcome: Mapping[str, int]) -> None:
        self._by_outcome = by_outcome

    def collect(self) -> Iterable[Metric]:
        """One counter; without samples where nothing is known."""
        counter = CounterMetricFamily("adaptrix_batch_lines", "Lines of batches by outcome", labels=["outcome"])
        for outcome, number in sorted(self._by_outcome.items()):
            counter.add_metric([outcome], number)
        yield counter
