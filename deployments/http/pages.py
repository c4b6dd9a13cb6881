"""Opens the API to the scripts of web pages elsewhere (CORS), where the settings name their origins.

A browser asks first (a preflight, without a key), and lets a script read an answer only if the answer allows it. Keys
are headers that the script itself sets, so cookies and other credentials of the browser are never allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from adaptrix_core.errors import Forbidden
from deployments.http.errors import ALIKE_HEADER, error_response

METHODS = ("GET", "HEAD", "POST", "DELETE")
READABLE = (
    "x-adaptrix-adapter",
    "x-adaptrix-digest",
    "x-adaptrix-route-score",
    "x-adaptrix-confidence",
    "x-adaptrix-fallback",
    "x-adaptrix-warning",
    "traceparent",
    "tracestate",
    "retry-after",
    ALIKE_HEADER,
)
"""Response headers that a script may read, beside the few that browsers always show."""


class OpenToPages(CORSMiddleware):
    """Wraps the application, guard and all."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        """origins: of the pages whose scripts may call; ``*`` for all of them."""
        super().__init__(
            app, allow_origins=origins, allow_methods=METHODS, allow_headers=["*"], expose_headers=READABLE
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """The answer to a browser's question; where it is no, an error in our form."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < HTTPStatus.BAD_REQUEST:
            return answer
        refusal = error_response(
            Forbidden(
                f"pages of {request_headers['origin'][:80]!r} may not send such a request; the setting "
                f"security.cors_origins names those that may call, by {', '.join(METHODS)}",
                code="foreign_origin",
            )
        )
        refusal.headers["vary"] = "Origin"
        return refusal
