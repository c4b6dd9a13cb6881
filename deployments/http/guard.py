"""The first check of every HTTP request: refuses control headers from outside, and callers that may not call at all.

A server without keys trusts every program on this machine, and a browser runs programs of strangers. So such a server
also requires that `Host` is a loopback name (against DNS rebinding, a foreign name that points to this machine), and
that `Origin`, which browsers add, is a loopback page or one that the settings name.

A plain ASGI wrapper, so that streams pass through untouched. Counts requests by path and status, and closes the watch
of a request (`http/observe/request_watch.py`) when its connection has ended.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaptrix_core.errors import AdaptrixError, Forbidden, InvalidRequest
from deployments.callers.reach import is_loopback
from deployments.http.errors import error_response
from deployments.http.observe.metrics import Metrics

WATCH = "adaptrix.watch"
"""Key of the request's `RequestWatch` in a connection's scope."""

CONTROL_HEADERS = ("serve-multiplexed-model-id", "serve-session-id", "x-serve-", "x-request-disconnect-disabled")
"""Prefixes of headers by which Ray Serve's parts steer requests. From outside they would let a caller choose replicas,
or keep a request running after its client has gone."""


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, keys_enabled: bool, origins: frozenset[str]) -> None:
        """origins: pages elsewhere that may call without keys too, each by its name; ``*`` is no name."""
        self._origins = origins
        self._app = app
        self._metrics = metrics
        self._keys_enabled = keys_enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(_path_label(scope), str(message["status"])).inc()
                if (watch := scope.get(WATCH)) is not None:
                    watch.record.status = message["status"]
                    MutableHeaders(scope=message).update(watch.headers)
            await send(message)

        try:
            refuse_control_headers(Headers(scope=scope))
            if not self._keys_enabled:
                _refuse_strangers(scope, Headers(scope=scope), self._origins)
        except AdaptrixError as error:
            await error_response(error, scope["path"])(scope, receive, counting_send)
            return
        try:
            await self._app(scope, receive, counting_send)
        finally:
            if (watch := scope.get(WATCH)) is not None:
                watch.close()


def refuse_control_headers(headers: Headers) -> None:
    """Raise InvalidRequest for headers that only our own parts may send."""
    for name in headers:
        if name.replace("_", "-").startswith(CONTROL_HEADERS):
            raise InvalidRequest(f"header {name!r} is for use inside the server; remove it", param=name)


def _refuse_strangers(scope: Scope, headers: Headers, origins: frozenset[str]) -> None:
    """Raise Forbidden unless the call is from this machine: for servers without keys, wherever they listen."""
    address = (scope.get("server") or ("",))[0]
    if address and not is_loopback(address):
        raise Forbidden(
            f"this server has no API keys, so it answers on loopback only, not on {address}; set security.api_keys_file"
        )
    for name, required in (("host", True), ("origin", False)):
        value = headers.get(name)
        if name == "origin" and value in origins:
            continue
        if (required or value is not None) and not is_loopback(_host_in(value or "")):
            raise Forbidden(
                f"header {name!r} is {(value or '')[:80]!r}: without keys only this machine's names and pages may "
                "call; use http://127.0.0.1, or set security.api_keys_file",
                code=f"foreign_{name}",
            )


def _host_in(value: str) -> str:
    """The host name in ``host:port`` or in an origin; empty where there is none."""
    try:
        return urlsplit(value if "://" in value else f"//{value}").hostname or ""
    except ValueError:
        return ""


def _path_label(scope: Scope) -> str:
    """The route's path, or ``other``: a bounded set of labels, whatever paths callers try."""
    return getattr(scope.get("route"), "path", "other")
