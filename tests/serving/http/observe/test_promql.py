"""The reading of expressions, on what the dashboards use."""

from __future__ import annotations

from tests.serving.promql import grouped_by, selectors


def test_metrics_and_labels_of_an_expression() -> None:
    expression = (
        'histogram_quantile(0.95, sum by (le, adapter) (rate(a_bucket{adapter=~"$x", tier!="of{b}"}[$__interval])))'
        " / on (replica) c:d_total and absent(plain)"
    )
    assert selectors(expression) == [("a_bucket", {"adapter", "tier"}), ("c:d_total", set()), ("plain", set())]
    assert grouped_by(expression) == {"le", "adapter"}


def test_functions_and_numbers_are_no_metrics() -> None:
    assert selectors("sum(rate(up[5m])) * 1e3") == [("up", set())]
