"""The last minute of requests, for looking on: kept in a circular buffer in memory, whatever the file does."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from adaptrix_core.observe.tracker.tracked import TrackedRequest

SHOWN_S = 60.0
"""Seconds that are shown."""
MOST_KEPT = 4096
"""Requests that are kept; where more end in a minute, the figures are of the time that these cover."""


class LiveFigures(NamedTuple):
    """One adapter's requests of the last seconds."""

    adapter: str
    requests_per_s: float
    tokens_per_s: float
    """Generated ones."""
    failed: int
    first_token_p50_s: float | None
    first_token_p95_s: float | None


class LiveView:
    """A ring of requests, in the order in which they arrived here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, most_kept: int = MOST_KEPT) -> None:
        """clock: one that never jumps. most_kept: requests."""
        self._clock = clock
        self._ring: deque[tuple[float, TrackedRequest]] = deque(maxlen=most_kept)

    def add(self, requests: Iterable[TrackedRequest]) -> None:
        """Take in requests that have just ended."""
        now = self._clock()
        self._ring.extend((now, request) for request in requests)

    def figures(self, tenant: str | None = None) -> list[LiveFigures]:
        """By adapter, in the order of their names. tenant: only its requests; None: everybody's."""
        now = self._clock()
        is_full = len(self._ring) == self._ring.maxlen
        covered_s = min(SHOWN_S, now - self._ring[0][0]) if is_full else SHOWN_S
        by_adapter: dict[str, list[TrackedRequest]] = {}
        for at, request in self._ring:
            if now - at <= SHOWN_S and tenant in (None, request.tenant):
                by_adapter.setdefault(request.adapter, []).append(request)
        return [_figures(name, by_adapter[name], max(covered_s, 1.0)) for name in sorted(by_adapter)]


def _figures(adapter: str, requests: list[TrackedRequest], covered_s: float) -> LiveFigures:
    first = sorted(request.first_token_s for request in requests if request.first_token_s is not None)
    return LiveFigures(
        adapter,
        requests_per_s=len(requests) / covered_s,
        tokens_per_s=sum(request.completion_tokens for request in requests) / covered_s,
        failed=sum(request.outcome == "failed" for request in requests),
        first_token_p50_s=_nearest_rank(first, 0.5),
        first_token_p95_s=_nearest_rank(first, 0.95),
    )


def _nearest_rank(ordered: list[float], share: float) -> float | None:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
