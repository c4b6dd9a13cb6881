"""Puts the answers that Ray Serve's HTTP proxy makes itself into the form of all our errors.

The proxy answers for itself where there is no application yet, where the ingress is lost, full or silent, and where it
cannot read a header; then with plain text, or with nothing, which its server makes a plain 500. Where the ingress is
lost in mid-stream it just stops: the stream gets its last event here, so that no reader takes a part for the whole. An
ASGI middleware of the proxies, beside `refusals.py`. Answers of the application pass through untouched.
"""

from __future__ import annotations

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaptrix_core.errors import AdaptrixError, Overloaded, RequestTimeout
from deployments.generation.deadline import Deadline
from deployments.http.errors import error_response
from deployments.http.guard import refuse_control_headers
from deployments.http.sse import MEDIA_TYPE, SILENT_DONE
from deployments.http.typed_answers import broken_off
from deployments.shared.errors import NotReady
from deployments.shared.request_id import REQUEST_ID, cleaned_id

logger = logging.getLogger(__name__)

SERVES_OWN = "/-/"
"""Path prefix of Ray Serve's own endpoints, for operators."""
TRACE_CONTEXT = "traceparent"


class ProxyErrors:
    """Wraps a proxy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["path"].startswith(SERVES_OWN):
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope["path"], receive, send)
        try:
            _make_readable(scope)
            await self._app(scope, answer.receive, answer.send)
        except AdaptrixError as error:
            answer.trouble = answer.trouble or error
        except Exception as error:
            logger.exception("%s %s failed in the proxy", scope["method"], scope["path"])
            if answer.has_begun and not answer.is_cut_off:
                raise
            answer.trouble = error
        if not answer.has_begun:
            await error_response(answer.trouble or _LOST, scope["path"])(scope, receive, send)
        elif answer.is_cut_off:
            logger.warning("the ingress of a stream was lost: %s", scope["path"])
            await answer.end_stream(_LOST_MIDWAY)


_LOST_MIDWAY = NotReady(
    "the server process that held this stream was lost; what was received is right but incomplete: send it again",
    code="ingress_lost",
)
_LOST = NotReady("the server process that took this request was lost; send it again", code="ingress_lost")


class _Answer:
    """The answer to one request, held back until it is known whether the application or the proxy made it."""

    def __init__(self, path: str, receive: Receive, send: Send) -> None:
        self._path = path
        self._receive = receive
        self._send = send
        self._is_left = False
        self.has_begun = False
        self.trouble: BaseException | None = None
        self._is_stream = False
        self._is_complete = False
        self._tail = b""

    @property
    def is_cut_off(self) -> bool:
        """Whether a stream of events was cut off: begun, without our last bytes, and its client still there."""
        return self._is_stream and not self._is_left and not (self._is_complete and self._tail == SILENT_DONE)

    async def receive(self) -> Message:
        """The client's next message; notes whether it has left."""
        message = await self._receive()
        self._is_left = self._is_left or message["type"] == "http.disconnect"
        return message

    async def send(self, message: Message) -> None:
        """Pass on the application's messages; of the proxy's own answer, only note that there was one."""
        if self.trouble is not None:
            return
        if message["type"] == "http.response.start" and not self.has_begun:
            self.trouble = _own_trouble(message["status"], Headers(raw=message["headers"]))
            if self.trouble is not None:
                return
        self.has_begun = True
        self._note(message)
        if self.is_cut_off and self._is_complete:
            return  # `end_stream` ends it with an error event
        await self._send(message)

    async def end_stream(self, error: AdaptrixError) -> None:
        """Send the last events of a stream that was cut off: the error, and our usual end."""
        body = broken_off(self._path, error)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _note(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_stream = Headers(raw=message["headers"]).get("content-type", "").startswith(MEDIA_TYPE)
        elif message["type"] == "http.response.body":
            self._is_complete = not message.get("more_body", False)
            if self._is_stream:
                self._tail = (self._tail + message.get("body", b""))[-len(SILENT_DONE) :]


def _own_trouble(status: int, headers: Headers) -> AdaptrixError | None:
    """The error behind an answer of the proxy's own; None where the answer is the application's."""
    if status < 400 or headers.get("content-type", "").startswith("application/json"):
        return None
    if status in (408, 504):
        return RequestTimeout("the request did not end in time; allow more time", code="deadline_exceeded")
    if status == 429:
        return Overloaded("every ingress has a full queue; send the request again in a moment")
    if status == 404:  # the application matches every path
        return NotReady("nothing is deployed here yet; see GET /health", code="not_ready")
    return NotReady(f"no ingress could take the request (status {status}); send it again in a moment")


def _make_readable(scope: Scope) -> None:
    """Make headers safe for the proxy, which fails on some that are not UTF-8. Raises InvalidRequest."""
    headers = MutableHeaders(scope=scope)
    refuse_control_headers(headers)
    Deadline.from_headers(headers)
    for name, cleaned in ((REQUEST_ID, cleaned_id), (TRACE_CONTEXT, _only_ascii)):
        if (given := headers.get(name)) is None:
            continue
        if kept := cleaned(given):
            headers[name] = kept
        else:
            del headers[name]


def _only_ascii(value: str) -> str:
    return value if value.isascii() else ""
