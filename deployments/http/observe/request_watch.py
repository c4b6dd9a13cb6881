"""Watches one generation request from its arrival to its end: counts it, traces it, and logs it in one line.

Knows the parts of a request (rows, pieces) and its possible ends: its last piece, an error, or its client gone. Of HTTP
it knows the path, the request's headers and the status.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.trace import SpanKind, StatusCode, use_span

from adaptrix_core.config.sections import ObserveSettings
from adaptrix_core.observe.logs import request_id
from adaptrix_core.observe.tracing import Tracing, carrier, current_span
from adaptrix_core.observe.tracker.outbox import Outbox
from deployments.callers.principal import Principal
from deployments.generation.start import RunningRequest
from deployments.http.observe.metrics import Metrics
from deployments.http.observe.request_log import request_line
from deployments.http.observe.request_record import RequestRecord, RowSummary
from deployments.http.observe.tracked_request import tracked_request
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.errors import as_core_error
from deployments.shared.request_id import REQUEST_ID, cleaned_id
from deployments.shared.wire import Piece

logger = logging.getLogger(__name__)


class RequestWatch:
    """Watches one request; made when it arrives, closed when its last byte is sent or its client has gone."""

    def __init__(
        self,
        metrics: Metrics,
        tracing: Tracing,
        settings: ObserveSettings,
        path: str,
        headers: Mapping[str, str],
        outbox: Outbox | None = None,
    ) -> None:
        """outbox: where the request is left for the tracker; None where nothing is tracked."""
        self._metrics = metrics
        self._outbox = outbox
        self._tracing = tracing
        self._settings = settings
        self._arrived = time.perf_counter()
        self._span = tracing.tracer.start_span(
            f"POST {path}",
            tracing.parent(headers),
            SpanKind.SERVER,
            {"http.request.method": "POST", "http.route": path},
        )
        self._is_closed = False
        context = self._span.get_span_context()
        self.record = RequestRecord(
            cleaned_id(headers.get(REQUEST_ID, "")) or secrets.token_hex(16),
            path,
            f"{context.trace_id:032x}" if context.is_valid else None,
        )

    @property
    def headers(self) -> dict[str, str]:
        """Response headers: the W3C context of this request's span, where it is traced."""
        return carrier(self._span)

    @contextmanager
    def accepting(self) -> Iterator[None]:
        """Context in which the request is read, routed and sent to a replica: logs and spans inside belong to it."""
        token = request_id.set(self.record.request_id)
        try:
            with use_span(self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        except Exception as error:
            self.failed(error)
            raise
        finally:
            request_id.reset(token)

    @contextmanager
    def resolving(self) -> Iterator[None]:
        """Context in which it is resolved who answers."""
        began = time.perf_counter()
        with current_span(self._tracing.tracer, "route"):
            yield
        self._metrics.resolve.observe(time.perf_counter() - began)

    def identified(self, principal: Principal, body: ChatRequest | CompletionRequest) -> None:
        """Note the caller and the body."""
        self.record.principal, self.record.body = principal, body

    def begun(self, running: RunningRequest) -> None:
        """Note the first token; all pieces that the stream yields from now on are counted."""
        self.record.running = running
        self.record.rows = [RowSummary(running.kind_of(index)) for index in range(running.num_rows)]
        self.record.first_token_s = time.perf_counter() - self._arrived
        self._metrics.begun(running.resolved.kind, self.record.first_token_s)
        if running.resolved.troubles:
            self._metrics.fallbacks.inc()
        running.stream.watched_by(self)

    def passed(self, pieces: Sequence[Piece]) -> None:
        """Count pieces that go to the client now."""
        for piece in pieces:
            self.record.rows[piece.row].add_piece(piece)
        assert self.record.running is not None
        self.record.usage.count(pieces, self.record.running.rows_per_prompt)
        sent = Counter(self.record.rows[piece.row].kind for piece in pieces if piece.token_id is not None)
        for kind, number in sent.items():
            self._metrics.tokens_sent(kind, number)

    def failed(self, error: Exception) -> None:
        """Note that the request has ended with this error."""
        self.record.error = as_core_error(error).code

    def close(self) -> None:
        """Count, log and trace the request's end (idempotent). Rows that have not ended count as aborted."""
        if self._is_closed:
            return
        self._is_closed = True
        self.record.total_s = time.perf_counter() - self._arrived
        for row in self.record.rows:
            row.finish_reason = row.finish_reason or self._why_ended
            self._metrics.row_ended(row.kind, row.num_prompt_tokens, row.finish_reason)
            if row.times is not None:
                self._metrics.row_measured(row.kind, row.num_tokens, row.times)
        if self.record.running is not None:
            self._metrics.ended(self.record.running.resolved.kind, self.record.total_s)
        self._track()
        if self._settings.logs != "text":
            logger.info("request", extra={"fields": request_line(self.record, self._settings.log_prompts)})
        self._end_span()

    def _track(self) -> None:
        if self._outbox is not None and (tracked := tracked_request(self.record, time.time())) is not None:
            has_room = self._outbox.put(tracked)
            self._metrics.untracked.inc(not has_room)

    @property
    def _why_ended(self) -> str:
        """The finish reason of rows that were ended in the ingress."""
        if self.record.error == "deadline_exceeded":
            return self.record.error
        return "abort" if self.record.error is None else "error"

    def _end_span(self) -> None:
        if self._span.is_recording():
            self._span.set_attributes({"adaptrix.request_id": self.record.request_id, **self._outcome()})
            if self.record.error is not None or any(row.finish_reason == "error" for row in self.record.rows):
                self._span.set_status(StatusCode.ERROR, self.record.error or "engine_failed")
        self._span.end()

    def _outcome(self) -> dict[str, str | int | list[str]]:
        outcome: dict[str, str | int | list[str]] = {}
        if self.record.status is not None:
            outcome["http.response.status_code"] = self.record.status
        if self.record.principal is not None:
            outcome["adaptrix.tenant"] = self.record.principal.tenant
        if self.record.running is not None:
            outcome["adaptrix.adapter"] = self.record.running.resolved.label
            outcome["gen_ai.response.id"] = self.record.running.head.response_id
            outcome["gen_ai.response.model"] = self.record.running.head.model
            outcome["gen_ai.response.finish_reasons"] = [str(row.finish_reason) for row in self.record.rows]
            outcome["gen_ai.usage.output_tokens"] = sum(row.num_tokens for row in self.record.rows)
        return outcome
