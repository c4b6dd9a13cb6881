"""Requests for tests of the tracker, and what is true of them, counted one by one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from adaptrix_core.observe.tracker.book import TrackedBatch
from adaptrix_core.observe.tracker.questions import PERIODS, UsageQuestion
from adaptrix_core.observe.tracker.sums import COUNTS, LATENCIES
from adaptrix_core.observe.tracker.tracked import TrackedRequest

MIDNIGHT = 1_796_083_200
"""1 December 2026, 00:00 UTC."""


def request(at: float = MIDNIGHT + 36_000.0, **fields: object) -> TrackedRequest:
    """One that was answered, unless ``fields`` say otherwise."""
    plain = TrackedRequest(
        at=at,
        response_id="chatcmpl-1",
        tenant="acme",
        key_id="key-1",
        adapter="math_reasoning",
        model="auto",
        endpoint="/v1/chat/completions",
        outcome="answered",
        error="",
        prompt_tokens=40,
        cached_tokens=16,
        completion_tokens=12,
        queue_s=0.002,
        load_s=None,
        first_token_s=0.12,
        per_token_s=0.02,
        total_s=0.4,
        replica="replica-1",
    )
    return plain._replace(**fields)  # type: ignore[arg-type]


def batch(requests: Iterable[TrackedRequest], number: int = 1, sender: str = "one", dropped: int = 0) -> TrackedBatch:
    """These requests on their way."""
    return TrackedBatch(sender, number, tuple(requests), dropped)


def meant(requests: Iterable[TrackedRequest], asked: UsageQuestion) -> list[TrackedRequest]:
    """The requests that a question is about."""
    end = math.inf if asked.end is None else asked.end
    return [
        one
        for one in requests
        if asked.start <= one.at < end and all(getattr(one, name) == value for name, value in asked.only.items())
    ]


def counted_one_by_one(
    requests: Sequence[TrackedRequest], asked: UsageQuestion
) -> dict[tuple[object, ...], dict[str, int]]:
    """Counts by (begin of the period, tenant, key, adapter), as an answer has them."""
    if asked.per is not None:
        asked = replace(asked, start=asked.start // PERIODS[asked.per] * PERIODS[asked.per])
    found: dict[tuple[object, ...], dict[str, int]] = {}
    told = {*asked.by, *asked.only}
    for one in meant(requests, asked):
        start = None if asked.per is None else int(one.at // PERIODS[asked.per] * PERIODS[asked.per])
        key = (start, *(getattr(one, name) if name in told else None for name in ("tenant", "key_id", "adapter")))
        counts = found.setdefault(key, dict.fromkeys(COUNTS, 0))
        counts["requests"] += 1
        counts[one.outcome] += 1
        for name in ("prompt_tokens", "cached_tokens", "completion_tokens"):
            counts[name] += getattr(one, name)
    return found


def seconds_of(requests: Iterable[TrackedRequest], latency: str) -> list[float]:
    """The times of which an answer tells percentiles, in order."""
    assert latency in LATENCIES
    return sorted(
        seconds
        for one in requests
        if (seconds := getattr(one, latency)) is not None and (latency != "total_s" or one.outcome == "answered")
    )
