"""Traces: spans made with OpenTelemetry and sent to a collector by OTLP/HTTP, W3C trace context in and out.

Without a configured collector, spans are OpenTelemetry's own empty ones and cost next to nothing. The SDK and
its exporter are imported only where traces are sent.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adaptrix_core.config.sections import ObserveSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger(__name__)

ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_W3C = TraceContextTextMapPropagator()


class Tracing:
    """Makes the spans of one process."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """Without a provider nothing is traced."""
        self._provider = provider
        self.tracer: trace.Tracer = (provider or trace.NoOpTracerProvider()).get_tracer("adaptrix")

    def parent(self, headers: Mapping[str, str]) -> Context:
        """The trace in a caller's W3C headers; an empty context without one, or where nothing is traced."""
        return Context() if self._provider is None else _W3C.extract(dict(headers), Context())

    def stop(self) -> None:
        """Send the spans that have ended, and end the sending thread."""
        if self._provider is not None:
            self._provider.shutdown()


def carrier(span: trace.Span | None = None) -> dict[str, str]:
    """W3C headers that carry ``span`` on, or the span of this context; empty where nothing is traced."""
    headers: dict[str, str] = {}
    _W3C.inject(headers, None if span is None else trace.set_span_in_context(span, Context()))
    return headers


@contextmanager
def current_span(tracer: trace.Tracer, name: str, parent: Context | None = None) -> Iterator[trace.Span]:
    """A span while the context lasts. Error messages stay out of it, as they may repeat a caller's text."""
    with tracer.start_as_current_span(name, parent, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield span
        except Exception as error:
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


@contextmanager
def within(context: Context) -> Iterator[None]:
    """What is called while this lasts, awaited too, continues ``context``'s trace."""
    token = attach(context)
    try:
        yield
    finally:
        detach(token)


def child_of(span: trace.Span) -> Context:
    """The context of a span's children."""
    return trace.set_span_in_context(span, Context())


def nanoseconds(epoch_s: float) -> int:
    """Seconds since the epoch as OpenTelemetry's nanoseconds."""
    return int(epoch_s * 1e9)


def start_tracing(settings: ObserveSettings, part: str, instance: str) -> Tracing:
    """Tracing by ``settings``, and by the standard ``OTEL_*`` variables where these are unset.

    part: the kind of this process in the server. instance: identifies it among its kind.
    """
    from_environment = any(os.environ.get(name) for name in ENDPOINT_VARIABLES)
    if settings.otlp_endpoint is None and not from_environment:
        return Tracing()
    if settings.otlp_endpoint is None and find_spec("opentelemetry.exporter") is None:
        log.warning("no traces: an OTLP endpoint is set, but the exporter is missing; install adaptrix[observe]")
        return Tracing()
    return Tracing(_provider(settings, part, instance))


def _provider(settings: ObserveSettings, part: str, instance: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    service = os.environ.get("OTEL_SERVICE_NAME", "adaptrix")
    resource = Resource.create({SERVICE_NAME: service, SERVICE_INSTANCE_ID: instance, "adaptrix.part": part})
    sampler = None if settings.trace_ratio is None else ParentBasedTraceIdRatio(settings.trace_ratio)
    endpoint = None if settings.otlp_endpoint is None else f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
    provider = TracerProvider(sampler, resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return provider
