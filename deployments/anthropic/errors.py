"""Errors in Anthropic's form. Knows its types of errors, and to which statuses they belong."""

from __future__ import annotations

from typing import Any

PATHS = "/v1/messages"
"""Prefix of the paths of Anthropic's API."""

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_of(status: int, message: str) -> dict[str, Any]:
    """Anthropic's error document for a status."""
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def is_anthropics(path: str) -> bool:
    """Whether a path belongs to Anthropic's API."""
    return path == PATHS or path.startswith(f"{PATHS}/")
