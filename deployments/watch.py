"""One generation request, watched from its arrival to its end, for metrics.

Knows what a request is made of (rows, pieces) and when it ends: with its last piece, with an error, or because its
client has gone. Does not know HTTP.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from deployments.generation import Batches, Running
from deployments.metrics import Metrics
from deployments.wire import Piece, RowTimes


@dataclass
class RowSummary:
    """What has come of one row so far."""

    kind: str
    """Who answers it, for counting."""
    num_tokens: int = 0
    num_prompt_tokens: int = 0
    finish_reason: str | None = None
    times: RowTimes | None = None

    def add(self, piece: Piece) -> None:
        """Take in the row's next piece."""
        self.num_tokens += piece.token_id is not None
        self.num_prompt_tokens = piece.prompt_tokens
        if piece.finish_reason is not None:
            self.finish_reason, self.times = piece.finish_reason, piece.times


class RequestWatch:
    """Watches one request; made when it arrives."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._arrived = time.perf_counter()

    @contextmanager
    def resolving(self) -> Iterator[None]:
        """While it is found out who answers."""
        began = time.perf_counter()
        yield
        self._metrics.resolve.observe(time.perf_counter() - began)

    async def to_the_end(self, running: Running) -> Batches:
        """``running``'s batches, counted; they are accounted for when they end or this is closed."""
        kind = running.resolved.kind
        self._metrics.begun(kind, time.perf_counter() - self._arrived)
        if running.resolved.troubles:
            self._metrics.fallbacks.inc()
        rows = [RowSummary(running.kind_of(index)) for index in range(running.num_rows)]
        unfinished = "abort"
        try:
            async with aclosing(running.batches) as batches:
                async for pieces in batches:
                    self._count(rows, pieces)
                    yield pieces
        except Exception:
            unfinished = "error"
            raise
        finally:
            for row in rows:
                self._row_ended(row, row.finish_reason or unfinished)
            self._metrics.ended(kind, time.perf_counter() - self._arrived)

    def _count(self, rows: list[RowSummary], pieces: list[Piece]) -> None:
        for piece in pieces:
            rows[piece.index].add(piece)
        sent = Counter(rows[piece.index].kind for piece in pieces if piece.token_id is not None)
        for kind, number in sent.items():
            self._metrics.tokens_sent(kind, number)

    def _row_ended(self, row: RowSummary, reason: str) -> None:
        self._metrics.row_ended(row.kind, row.num_prompt_tokens, reason)
        if row.times is not None:
            self._metrics.row_measured(row.kind, row.num_tokens, row.times)
