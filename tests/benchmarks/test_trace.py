"""S-LoRA's generator."""

from __future__ import annotations

from itertools import pairwise

import pytest

from benchmarks.harness.trace import generate

LENGTHS = (8, 64)


@pytest.mark.parametrize("alpha", [1.0, 0.3, 0.1])
def test_first_adapter_gets_its_share_of_the_power_law(alpha: float) -> None:
    trace = generate(20_000, 200, alpha, rate=10.0, lengths=LENGTHS)
    share = sum(request.adapter == 0 for request in trace) / len(trace)
    assert share == pytest.approx((1 / 200) ** alpha, abs=0.01)
    assert {request.adapter for request in trace} <= set(range(200))


def test_traces_that_differ_in_adapters_alone_ask_for_the_same_work() -> None:
    few, many = (generate(500, n, alpha, 10.0, LENGTHS) for n, alpha in ((5, 1.0), (1000, 0.3)))
    assert [(r.arrival, r.prompt_tokens, r.output_tokens) for r in few] == [
        (r.arrival, r.prompt_tokens, r.output_tokens) for r in many
    ]


def test_requests_arrive_in_order_at_the_rate_and_with_lengths_in_range() -> None:
    trace = generate(20_000, 5, 1.0, rate=10.0, lengths=LENGTHS)
    assert all(earlier.arrival <= later.arrival for earlier, later in pairwise(trace))
    assert trace[-1].arrival == pytest.approx(2000.0, rel=0.05)
    lengths = {r.prompt_tokens for r in trace} | {r.output_tokens for r in trace}
    assert (min(lengths), max(lengths)) == (8, 63)
