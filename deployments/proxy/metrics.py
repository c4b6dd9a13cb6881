"""Counters of one of Ray Serve's proxies, appended to the ingress's answer to `GET /metrics`."""

from __future__ import annotations

from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

disable_created_metrics()


class ProxyMetrics:
    """Counters of one proxy."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self._registry = CollectorRegistry()
        self._refusals = Counter(
            "adaptrix_proxy_refusals",
            "Requests that a proxy refused (429) without asking an ingress",
            ["path"],
            registry=self._registry,
        )
        for path in paths:
            self._refusals.labels(path)

    def refused(self, path: str) -> None:
        """Count a request that the proxy refuses itself."""
        self._refusals.labels(path).inc()

    def text(self) -> bytes:
        """All counters in Prometheus' text form."""
        return generate_latest(self._registry)

    def appending(self, send: Send) -> Send:
        """A ``send`` that appends the proxy's own counters to an answer to `GET /metrics`."""
        start: Message = {}
        parts: list[bytes] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            if start["status"] == HTTPStatus.OK:
                parts.append(self.text())
            body = b"".join(parts)
            MutableHeaders(scope=start)["content-length"] = str(len(body))
            await send(start)
            await send({**message, "body": body})

        return sending
