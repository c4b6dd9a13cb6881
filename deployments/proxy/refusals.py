"""Load shedding in Ray Serve's own HTTP proxy: it repeats the ingress's refusals (429) to requests of the same kind.

The way through proxy and ingress costs about the same for a refused request as for an answered one, and under overload
most are refused. So where the ingress says for how long it would refuse requests like this one
(`generation/ask_another.py`), the proxy gives the same answer to the next ones itself.

An ASGI middleware of Ray Serve's proxies, loaded by RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH. Where Serve's HAProxy
forwards straight to the ingress, it runs in front of the application there. Without refusals it parses no body.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaptrix_core.adapters.reference import AUTO
from deployments.callers.key_ring import authorization_of
from deployments.http.errors import ALIKE_HEADER, whole_seconds
from deployments.proxy.errors import ProxyErrors
from deployments.proxy.metrics import ProxyMetrics
from deployments.shared.overload_memory import OverloadMemory, RememberedRefusal

METRICS = "/metrics"
PATHS = ("/v1/chat/completions", "/v1/completions")
LONGEST_BODY = 64 << 10
"""Longest body that is read here, in bytes; a request with a longer one goes on to the ingress."""
KIND_FIELDS = ("model", "adapter_id", "lora_path", "priority", "n", "adaptrix")
"""Fields of a body that say who answers, how often, and how urgent it is."""
MOST_PARTS = 256
"""Most messages that such a body may come in."""
MOST_KINDS = 256
"""Kinds of requests whose refusal is remembered at once. Each may be as long as the body that it was read from."""


def middlewares() -> list[Middleware]:
    """The middlewares that Ray Serve's proxies wrap around themselves."""
    return [Middleware(ProxyErrors), Middleware(ProxyRefusals)]


class ProxyRefusals:
    """One proxy's memory of refusals."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._overload = OverloadMemory[bytes](MOST_KINDS)
        self._metrics = ProxyMetrics(PATHS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        path = scope["path"] if scope["type"] == "http" else None
        if path == METRICS:
            send = self._metrics.appending(send)
        if path not in PATHS:
            await self._app(scope, receive, send)
            return
        body = _Body(receive)
        if self._overload:
            refusal = self._overload.find(kind_of(scope, await body.read()))
            if refusal is not None:
                self._metrics.refused(path)
                await _response(refusal)(scope, body.receive, send)
                return
        noticed = _Noticed()

        async def noticing_send(message: Message) -> None:
            noticed.see(message)
            if message["type"] == "http.response.start" and message["status"] != HTTPStatus.TOO_MANY_REQUESTS:
                body.forget()
            if noticed.refusal is not None:
                self._note(kind_of(scope, await body.read()), noticed.refusal)
                noticed.refusal = None
            await send(message)

        await self._app(scope, body.receive, noticing_send)

    def _note(self, kind: Hashable, refusal: RememberedRefusal[bytes]) -> None:
        if kind is not None:
            self._overload.note(kind, refusal)


def _response(refusal: RememberedRefusal[bytes]) -> Response:
    headers = {"retry-after": str(whole_seconds(refusal.retry_after_s))}
    return Response(refusal.answer, HTTPStatus.TOO_MANY_REQUESTS, headers, "application/json")


class _Noticed:
    """Reads from a response's messages whether it refuses requests of its kind for a while."""

    def __init__(self) -> None:
        self.refusal: RememberedRefusal[bytes] | None = None
        self._alike_s = self._retry_after_s = 0.0

    def see(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == HTTPStatus.TOO_MANY_REQUESTS:
            headers = Headers(raw=message["headers"])
            self._alike_s = float(headers.get(ALIKE_HEADER, "0"))
            self._retry_after_s = float(headers.get("retry-after", "1"))
        elif message["type"] == "http.response.body" and self._alike_s and not message.get("more_body", False):
            self.refusal = RememberedRefusal(message["body"], self._alike_s, self._retry_after_s)


class _Body:
    """A request's body, which may be read before it is passed on."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._seen: list[Message] = []
        self._num_passed_on = 0
        self._size = 0
        self._is_wanted = True

    async def receive(self) -> Message:
        """The next message, for the application."""
        if self._num_passed_on == len(self._seen):
            if not self._is_wanted or self._is_complete:
                return await self._receive()
            await self._see()
        self._num_passed_on += 1
        return self._seen[self._num_passed_on - 1]

    async def read(self) -> bytes | None:
        """The whole body; None where it is too long, in too many parts, or was cut off."""
        while self._is_wanted and not self._is_complete:
            await self._see()
        if not self._is_wanted or self._seen[-1]["type"] != "http.request":
            return None
        return b"".join(message.get("body", b"") for message in self._seen)

    async def _see(self) -> None:
        self._seen.append(await self._receive())
        self._size += len(self._seen[-1].get("body", b""))
        if self._size > LONGEST_BODY or len(self._seen) > MOST_PARTS:
            self.forget()

    def forget(self) -> None:
        """Keep no more messages: the body will not be read again."""
        self._is_wanted = False
        del self._seen[: self._num_passed_on]
        self._num_passed_on = 0

    @property
    def _is_complete(self) -> bool:
        return bool(self._seen) and not self._seen[-1].get("more_body", False)


def kind_of(scope: Scope, body: bytes | None) -> Hashable:
    """The kind of a request: caller, endpoint, model, priority and number of choices. Equal kinds are refused alike.

    None for a request that says nothing of others: `auto` may be answered by another adapter each time, and one of
    several prompts may be refused because of the rest.
    """
    try:
        document: Any = json.loads(body or b"")
        asked = {name: document.get(name) for name in KIND_FIELDS}
        told_apart_by = json.dumps(asked, sort_keys=True)
    except (ValueError, RecursionError, AttributeError):
        return None
    prompt = document.get("prompt")
    if asked["model"] == AUTO or (isinstance(prompt, list) and any(isinstance(part, str | list) for part in prompt)):
        return None
    return authorization_of(Headers(scope=scope)), scope["path"], told_apart_by
