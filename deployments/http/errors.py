"""The one place where errors become HTTP: status, headers and OpenAI's ``{"error": {…}}`` document, or Anthropic's on
its paths. Raises nothing."""

from __future__ import annotations

import math
from typing import Any

from pydantic import ValidationError
from starlette.responses import JSONResponse

from adaptrix_core import errors as core
from adaptrix_core.error_codes import ERROR_CODES, ErrorCode
from deployments.anthropic.errors import error_of, is_anthropics
from deployments.http.faults import invalid_body
from deployments.shared.errors import AllBusy, as_core_error

RETRY_AFTER_S = 1.0
"""Default of `retry-after`, in seconds, for errors without an estimate."""
MAX_RETRY_AFTER_S = 600.0
ALIKE_HEADER = "x-adaptrix-refused-alike"
"""Header of a refusal: seconds for which requests of its kind get the same answer."""
MAX_MESSAGE = 4000
MAX_PARAM = 256
"""Longest ``param``, in characters. Answers stay below 32 kB, whatever a message quotes and however it is escaped."""


def code_of(error: core.AdaptrixError) -> ErrorCode:
    """The row of the table of error codes by which an error is sent.

    The class's own row where the table lacks the code (of another version, say), and for a refused adapter, whatever it
    was refused for: its user is not in conflict with the owner of its name, for example.
    """
    if isinstance(error, core.AdapterRejected):
        return ERROR_CODES[core.AdapterRejected.code]
    return ERROR_CODES.get(error.code) or ERROR_CODES[type(error).code]


def error_document(error: core.AdaptrixError) -> dict[str, Any]:
    """OpenAI's error document."""
    message, param = _sendable(error.message, MAX_MESSAGE), error.param and _sendable(error.param, MAX_PARAM)
    return {"error": {"message": message, "type": code_of(error).openai_type, "code": error.code, "param": param}}


def _sendable(text: str, longest: int) -> str:
    """The text cut to ``longest``, without surrogates, which file names may contain and UTF-8 may not."""
    text = text if len(text) <= longest else f"{text[:longest]}…"
    return text.encode("utf-8", "replace").decode()


def document_for(path: str, error: core.AdaptrixError) -> dict[str, Any]:
    """The error's document in the form of the API that ``path`` belongs to."""
    document = error_document(error)
    if is_anthropics(path):
        return error_of(code_of(error).status, document["error"]["message"])
    return document


def error_response(raised: BaseException, path: str = "") -> JSONResponse:
    """The HTTP response for any exception. path: of the request, by which API's form it is told."""
    error = invalid_body(raised, None) if isinstance(raised, ValidationError) else as_core_error(raised)
    status = code_of(error).status
    waits = status in (429, 503) or isinstance(error, core.RetryLater)
    headers = {"retry-after": str(retry_after_s(error))} if waits else {}
    if isinstance(error, AllBusy):
        headers[ALIKE_HEADER] = f"{error.alike_s:.3f}"
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(document_for(path, error), status, headers)


def retry_after_s(error: core.AdaptrixError) -> int:
    """Whole seconds after which the same request may succeed, at least 1."""
    estimate = error.retry_after_s if isinstance(error, core.RetryLater) else None
    return whole_seconds(RETRY_AFTER_S if estimate is None else estimate)


def whole_seconds(estimate_s: float) -> int:
    """An estimate as `retry-after` sends it: whole seconds, at least 1."""
    return max(1, math.ceil(min(estimate_s, MAX_RETRY_AFTER_S)))
