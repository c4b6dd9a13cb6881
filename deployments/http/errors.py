"""The one place where errors become HTTP: status, headers and OpenAI's ``{"error": {…}}`` document. Raises nothing."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from adaptrix_core import errors as core
from deployments.http.faults import invalid_body
from deployments.shared.errors import AllBusy, BodyTooLarge, NotReady, UnsupportedEncoding, as_core_error

RETRY_AFTER_S = 1.0
"""Where nothing better is known."""
MAX_RETRY_AFTER_S = 600.0
ALIKE_HEADER = "x-adaptrix-refused-alike"
"""Seconds for which requests like this one get the same answer."""
# First match wins, so subclasses come before their bases.
_STATUS: tuple[tuple[type[core.AdaptrixError], int, str], ...] = (
    (core.Unauthorized, 401, "authentication_error"),
    (core.Forbidden, 403, "permission_error"),
    (core.AdapterNotFound, 404, "not_found_error"),
    (core.RequestNotFound, 404, "not_found_error"),
    (core.AdapterExists, 400, "invalid_request_error"),
    (core.AdapterBusy, 409, "conflict_error"),
    (core.Conflict, 409, "conflict_error"),
    (core.AdapterRejected, 422, "adapter_error"),
    (core.InvalidRequest, 400, "invalid_request_error"),
    (core.ConfigError, 500, "server_error"),
    (core.Overloaded, 429, "rate_limit_error"),
    (core.CacheFull, 503, "server_error"),
    (core.AdapterUnavailable, 503, "server_error"),
    (core.RequestTimeout, 504, "timeout_error"),
    (core.EngineStopped, 503, "server_error"),
    (core.StorageFailed, 507, "server_error"),
)


MAX_MESSAGE = 4000
MAX_PARAM = 256
"""Characters. An answer stays below 32 kB, whatever a message quotes and however it is escaped."""


def status_of(error: core.AdaptrixError) -> tuple[int, str]:
    """HTTP status and OpenAI error type."""
    if isinstance(error, BodyTooLarge):
        return 413, "invalid_request_error"
    if isinstance(error, UnsupportedEncoding):
        return 415, "invalid_request_error"
    if isinstance(error, NotReady):
        return 503, "server_error"
    for kind, status, name in _STATUS:
        if isinstance(error, kind):
            return status, name
    return 500, "server_error"


def error_document(error: core.AdaptrixError) -> dict[str, Any]:
    """OpenAI's error document."""
    _, kind = status_of(error)
    message, param = _sendable(error.message, MAX_MESSAGE), error.param and _sendable(error.param, MAX_PARAM)
    return {"error": {"message": message, "type": kind, "code": error.code, "param": param}}


def _sendable(text: str, longest: int) -> str:
    """Not too long, and without half characters, which file names have and UTF-8 has not."""
    text = text if len(text) <= longest else f"{text[:longest]}…"
    return text.encode("utf-8", "replace").decode()


def error_response(raised: BaseException) -> JSONResponse:
    """The HTTP response for anything that was raised."""
    error = invalid_body(raised, None) if isinstance(raised, ValidationError) else as_core_error(raised)
    status, _ = status_of(error)
    waits = status in (429, 503) or isinstance(error, core.RetryLater)
    headers = {"retry-after": str(retry_after_s(error))} if waits else {}
    if isinstance(error, AllBusy):
        headers[ALIKE_HEADER] = f"{error.alike_s:.3f}"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error_document(error), status, headers)


def retry_after_s(error: core.AdaptrixError) -> int:
    """Whole seconds after which the same request may succeed, at least 1."""
    estimate = error.retry_after_s if isinstance(error, core.RetryLater) else None
    return whole_seconds(RETRY_AFTER_S if estimate is None else estimate)


def whole_seconds(estimate_s: float) -> int:
    """What `retry-after` says for an estimate."""
    return max(1, math.ceil(min(estimate_s, MAX_RETRY_AFTER_S)))
