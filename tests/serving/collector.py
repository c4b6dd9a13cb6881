"""A collector for tests: takes traces by OTLP/HTTP, as protobuf, and keeps them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Span:
    """One span as it came in; times in seconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start: float
    end: float
    attributes: dict[str, Any]
    is_error: bool
    service: str
    part: str
    raw: str
    """All of it as text, with events and the status's message."""


class Collector:
    """What has come in."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._spans: list[Span] = []
        self._lock = threading.Lock()

    def take(self, body: bytes) -> None:
        """One export request."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = _values(group.resource.attributes)
            found = [
                Span(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    start=span.start_time_unix_nano / 1e9,
                    end=span.end_time_unix_nano / 1e9,
                    attributes=_values(span.attributes),
                    is_error=span.status.code == 2,
                    service=resource["service.name"],
                    part=resource["adaptrix.part"],
                    raw=str(span),
                )
                for scope in group.scope_spans
                for span in scope.spans
            ]
            with self._lock:
                self._spans += found

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, earliest first."""
        with self._lock:
            return sorted((span for span in self._spans if span.trace_id == trace_id), key=lambda span: span.start)

    def everything(self) -> list[Span]:
        """All spans."""
        with self._lock:
            return list(self._spans)


Tree = list[tuple[str, "Tree"]]


def tree_below(spans: list[Span], parent_id: str) -> Tree:
    """Names of the spans below one, and of those below them, earliest first."""
    return [(span.name, tree_below(spans, span.span_id)) for span in spans if span.parent_id == parent_id]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces", self.path
            assert self.headers["content-type"] == "application/x-protobuf"
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            body = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _values(attributes: Any) -> dict[str, Any]:
    values = {}
    for attribute in attributes:
        kind = attribute.value.WhichOneof("value")
        value = getattr(attribute.value, kind)
        if kind == "array_value":
            value = [getattr(item, item.WhichOneof("value")) for item in value.values]
        values[attribute.key] = value
    return values
