"""The figures of `adaptrix benchmark`, on answers whose timings are known."""

from __future__ import annotations

import pytest

from adaptrix_core.cli.commands.batch import Outcome
from adaptrix_core.cli.commands.benchmark import summarise
from adaptrix_core.cli.target import Answer
from adaptrix_core.errors import Overloaded


def answer(first_token_s: float, duration_s: float, num_tokens: int) -> Answer:
    return Answer(
        text="x",
        adapter="base",
        package_digests=None,
        route_score=None,
        finish_reason="length",
        num_prompt_tokens=3,
        num_completion_tokens=num_tokens,
        first_token_s=first_token_s,
        duration_s=duration_s,
    )


def test_throughput_counts_answers_only_and_failures_are_reported() -> None:
    outcomes: list[Outcome] = [answer(0.1, 1.0, 10), answer(0.3, 2.0, 30), Overloaded("queue full")]
    report = summarise(outcomes, duration_s=4.0, concurrency=2)
    assert report["num_requests"] == 3
    assert report["num_failed"] == 1
    assert report["first_failure"] == "queue full"
    assert report["requests_per_s"] == pytest.approx(0.5)
    assert report["completion_tokens_per_s"] == pytest.approx(10.0)


def test_percentiles_are_by_nearest_rank() -> None:
    outcomes: list[Outcome] = [answer(n / 100, n / 10, 1) for n in range(1, 101)]
    report = summarise(outcomes, duration_s=10.0, concurrency=1)
    assert report["request_s"] == {"p50": 5.0, "p95": 9.5, "max": 10.0}


def test_a_run_in_which_everything_failed_still_reports() -> None:
    report = summarise([Overloaded("full")], duration_s=1.0, concurrency=1)
    assert report["completion_tokens_per_s"] == 0
    assert report["request_s"] == {}
