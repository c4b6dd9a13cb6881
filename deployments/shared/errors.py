"""The one place where errors become HTTP: status, headers and OpenAI's ``{"error": {…}}`` document.

Knows the core's error classes and the ways in which Ray reports a lost process. Raises nothing of its own.
"""

from __future__ import annotations

import errno
import math
import os
from typing import Any

from pydantic import ValidationError
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, RayServeException
from starlette.responses import JSONResponse

from adaptrix_core import errors as core
from deployments.http.faults import invalid_body

RETRY_AFTER_S = 1.0
"""Where nothing better is known."""
MAX_RETRY_AFTER_S = 600.0
ALIKE_HEADER = "x-adaptrix-refused-alike"
"""Seconds for which requests like this one get the same answer."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
LOST = (RayActorError, ObjectLostError, NodeDiedError, WorkerCrashedError)
"""Ray's errors for a process that is gone, or for what it had not handed over."""

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


class BodyTooLarge(core.InvalidRequest):
    """A request body over the configured limit."""

    code = "body_too_large"


class UnsupportedEncoding(core.InvalidRequest):
    """A body in a transfer form that is not read here."""

    code = "unsupported_encoding"


class AllBusy(core.Overloaded):
    """Every replica has refused a call; those like it need not ask for ``alike_s`` seconds."""

    def __init__(self, message: str, *, retry_after_s: float, alike_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.alike_s = alike_s


class NotReady(core.AdaptrixError):
    """The server, or a part of it that this request needs, is not ready or was lost."""

    code = "not_ready"


class ReplicaLost(NotReady):
    """The replica that served a request is gone, or let go of the request at its own end."""

    code = "replica_lost"


def as_core_error(error: BaseException) -> core.AdaptrixError:
    """Whatever was raised, here or in another process, as one of the project's errors."""
    if isinstance(error, RayTaskError):
        # The combined class that Ray makes hides instance attributes such as `code`; the cause has them.
        cause = error.cause
        return as_core_error(cause) if isinstance(cause, BaseException) and cause is not error else _unexpected(error)
    if isinstance(error, core.AdaptrixError):
        return error
    if isinstance(error, BackPressureError):
        return core.Overloaded("every replica has a full queue; send the request again in a moment")
    if isinstance(error, LOST):
        return ReplicaLost("the replica that served this request was lost; send it again")
    if isinstance(error, RayServeException | RayError):
        return NotReady(f"no replica could take the request ({type(error).__name__}); send it again in a moment")
    if isinstance(error, ValidationError):
        return invalid_body(error, None)
    if isinstance(error, OSError) and (error.filename is not None or error.errno in _NO_ROOM):
        return _storage_failed(error)
    return _unexpected(error)


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
    error = as_core_error(raised)
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


def _storage_failed(error: OSError) -> core.StorageFailed:
    """Which file is told by its name alone: where the server keeps it is nobody's business."""
    name = f" ({os.path.basename(str(error.filename))!r})" if error.filename is not None else ""
    code = "storage_full" if error.errno in _NO_ROOM else None
    return core.StorageFailed(
        f"the server cannot use its files{name}: {error.strerror}; its operator has to look at adapters.state_dir and "
        "the temporary directory, then send the request again",
        code=code,
    )


def _unexpected(error: BaseException) -> core.AdaptrixError:
    return core.AdaptrixError(f"unexpected error ({type(error).__name__}); the server's log has the details")
