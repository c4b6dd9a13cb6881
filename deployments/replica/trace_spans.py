"""The spans of one call in a replica: pinning its adapters, and each row's way through the engine.

The engine reports a row's times at its end, so the spans of its phases are made then, all at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.trace import Span, SpanKind, StatusCode

from adaptrix_core.engine.request import Timings, TokenEvent
from adaptrix_core.observe.tracing import Tracing, child_of, nanoseconds
from deployments.shared.wire import GenerateCall


class CallSpans:
    """The spans of one call; made when it arrives."""

    def __init__(self, tracing: Tracing, call: GenerateCall) -> None:
        self._tracer = tracing.tracer
        self._span = self._tracer.start_span("replica", tracing.parent(call.trace), SpanKind.SERVER)
        self._span.set_attribute("adaptrix.call", call.request_id)
        if call.resume:
            self._span.set_attribute("adaptrix.resumed_tokens", sum(len(row.token_ids) for row in call.resume))
        self.context = child_of(self._span)
        """That of the call's parts, here and elsewhere."""

    def begin(self, name: str) -> Span:
        """A span for one piece of the replica's work; the caller ends it."""
        return self._tracer.start_span(name, self.context)

    def rows_ended(self, events: Iterable[TokenEvent]) -> None:
        """Make the spans of the rows that end with one of ``events``."""
        for event in events:
            if event.timings is not None:
                self._row_ended(event, event.timings)

    def _row_ended(self, event: TokenEvent, timings: Timings) -> None:
        start, end = timings.arrived_at, timings.arrived_at + timings.total_s
        attributes: dict[str, str | int | list[int]] = {
            "adaptrix.row": event.index,
            "adaptrix.finish_reason": str(event.finish_reason),
            "adaptrix.preemptions": timings.num_preemptions,
            "adaptrix.taken_over_tokens": list(timings.taken_over),
            "gen_ai.usage.input_tokens": event.num_prompt_tokens,
            "gen_ai.usage.output_tokens": event.position + (event.token_id is not None) - event.num_prompt_tokens,
        }
        row = self._tracer.start_span("engine", self.context, attributes=attributes, start_time=nanoseconds(start))
        if event.error is not None:
            row.set_status(StatusCode.ERROR)
        phases = child_of(row)
        for name, began, ended in _phases(timings):
            span = self._tracer.start_span(name, phases, start_time=nanoseconds(start + began))
            span.end(nanoseconds(start + ended))
        row.end(nanoseconds(end))

    def end(self, error: BaseException | None) -> None:
        """End the call's span. error: why the call did not reach its end (failed, or closed by its caller), or None."""
        if isinstance(error, Exception):
            self._span.set_status(StatusCode.ERROR, type(error).__name__)
        elif error is not None:
            self._span.set_attribute("adaptrix.given_up", True)
        self._span.end()


def _phases(timings: Timings) -> list[tuple[str, float, float]]:
    """(name, begin, end) of a row's phases, in seconds since its arrival."""
    loading = timings.queued_s - timings.load_s
    phases = [("queue", 0.0, loading)]
    if timings.load_s:
        phases.append(("adapter.load", loading, timings.queued_s))
    if timings.first_token_s:
        phases.append(("prefill", timings.queued_s, timings.first_token_s))
        phases.append(("decode", timings.first_token_s, timings.total_s))
    return phases
