"""The one place where errors become HTTP: status, headers and OpenAI's ``{"error": {…}}`` document.

Knows the core's error classes and the ways in which Ray reports a lost process. Raises nothing of its own.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, RayError, RayTaskError, WorkerCrashedError
from ray.serve.exceptions import BackPressureError, RayServeException
from starlette.responses import JSONResponse

from adaptrix_core import errors as core

RETRY_AFTER_S = 1.0
"""Where nothing better is known."""
MAX_RETRY_AFTER_S = 600.0
ALIKE_HEADER = "x-adaptrix-refused-alike"
"""Seconds for which requests like this one get the same answer."""
LOST = (RayActorError, ObjectLostError, NodeDiedError, WorkerCrashedError)
"""Ray's errors for a process that is gone, or for what it had not handed over."""

# First match wins, so subclasses come before their bases.
_STATUS: tuple[tuple[type[core.AdaptrixError], int, str], ...] = (
    (core.Unauthorized, 401, "authentication_error"),
    (core.Forbidden, 403, "permission_error"),
    (core.AdapterNotFound, 404, "not_found_error"),
    (core.RequestNotFound, 404, "not_found_error"),
    (core.AdapterExists, 400, "invalid_request_error"),
    (core.Conflict, 409, "conflict_error"),
    (core.AdapterRejected, 422, "adapter_error"),
    (core.InvalidRequest, 400, "invalid_request_error"),
    (core.ConfigError, 500, "server_error"),
    (core.Overloaded, 429, "rate_limit_error"),
    (core.CacheFull, 503, "server_error"),
    (core.AdapterUnavailable, 503, "server_error"),
    (core.RequestTimeout, 504, "timeout_error"),
    (core.EngineStopped, 503, "server_error"),
)


class BodyTooLarge(core.InvalidRequest):
    """A request body over the configured limit."""

    code = "body_too_large"


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
    return _unexpected(error)


def status_of(error: core.AdaptrixError) -> tuple[int, str]:
    """HTTP status and OpenAI error type."""
    if isinstance(error, BodyTooLarge):
        return 413, "invalid_request_error"
    if isinstance(error, NotReady):
        return 503, "server_error"
    for kind, status, name in _STATUS:
        if isinstance(error, kind):
            return status, name
    return 500, "server_error"


def error_document(error: core.AdaptrixError) -> dict[str, Any]:
    """OpenAI's error document."""
    _, kind = status_of(error)
    return {"error": {"message": error.message, "type": kind, "code": error.code, "param": error.param}}


def error_response(raised: BaseException) -> JSONResponse:
    """The HTTP response for anything that was raised."""
    error = as_core_error(raised)
    status, _ = status_of(error)
    headers = {"retry-after": str(retry_after_s(error))} if status in (429, 503) else {}
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


def invalid_body(error: ValidationError, model: type[BaseModel] | None) -> core.InvalidRequest:
    """All faults of a body in one message; ``param`` names the field of the first."""
    details = _deepest(error.errors(include_url=False))
    fields = list(model.model_fields) if model is not None else []
    faults = list(dict.fromkeys(_fault(detail, fields) for detail in details))
    return core.InvalidRequest("; ".join(faults), code=_code(details), param=_field_path(details[0]["loc"]))


def _deepest(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without faults that another one explains: of a union's members, the one that the value came closest to counts."""
    paths = [_field_path(detail["loc"]) or "" for detail in details]
    return [
        detail
        for detail, path in zip(details, paths, strict=True)
        if not path or not any(other.startswith(f"{path}.") for other in paths)
    ]


def _code(details: Sequence[ErrorDetails]) -> str:
    return "unsupported_field" if all(d["type"] == "extra_forbidden" for d in details) else "invalid_request"


def _fault(detail: ErrorDetails, fields: Sequence[str]) -> str:
    path = _field_path(detail["loc"])
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(detail["loc"][-1]), fields, n=1) if len(detail["loc"]) == 1 else []
        hint = f"did you mean {near[0]!r}?" if near else "remove it"
        return f"field {path!r} is not supported; {hint}"
    if detail["type"] == "missing":
        return f"field {path!r} is required"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if path is None:
        return message
    return f"{path}: {message}{_shown(detail['input'])}"


def _shown(value: object) -> str:
    """The value, where it is short enough to help."""
    if isinstance(value, dict | list) or len(repr(value)) > 80:
        return f", not {type(value).__name__}" if isinstance(value, dict | list) else ""
    return f", not {value!r}"


def _field_path(location: Sequence[int | str]) -> str | None:
    """``messages.0.content``; tags that pydantic adds for the members of a union are left out."""
    parts = [str(part) for part in location if isinstance(part, int) or str(part).isidentifier()]
    parts = [part[:64] for part in parts if part not in ("str", "int", "float", "bool", "key")]
    return ".".join(parts) or None


def _unexpected(error: BaseException) -> core.AdaptrixError:
    return core.AdaptrixError(f"unexpected error ({type(error).__name__}); the server's log has the details")
