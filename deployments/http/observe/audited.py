"""What a request leaves in the audit log: what an administrator does, and that somebody was refused."""

from __future__ import annotations

import secrets
from contextlib import AbstractAsyncContextManager

from fastapi import Request

from adaptrix_core.errors import Forbidden, Unauthorized
from adaptrix_core.security.audit.record import Actor, AuditEvent, Outcome
from deployments.audit.trail import Act, AuditTrail
from deployments.callers.principal import Principal
from deployments.shared.request_id import REQUEST_ID, cleaned_id

CALLER = "adaptrix.caller"
"""Key of the request's `Principal` in a connection's scope, once it is known."""


def administered(
    request: Request, audit: AuditTrail, action: str, target: str, package_digest: str | None = None, **details: str
) -> AbstractAsyncContextManager[Act]:
    """Context in which a request's administrative action is done; recorded before and after.

    Raises AuditUnavailable before it where it cannot be recorded.
    """
    return audit.administered(_event(request, action, target, package_digest, details))


def noted(request: Request, audit: AuditTrail, action: str, target: str) -> None:
    """Have it recorded that a request did something that needs no administrator."""
    audit.note(_event(request, action, target, None, {}))


def note_refusal(request: Request, audit: AuditTrail, error: Exception) -> None:
    """Have it recorded that a request was refused for who sent it, where ``error`` says that."""
    if isinstance(error, Unauthorized):
        action = "caller.unknown"
    elif isinstance(error, Forbidden) and error.code == Forbidden.code:
        action = "caller.denied"
    else:
        return
    path = getattr(request.scope.get("route"), "path", "other")  # not what was sent, which may be anything
    audit.note(_event(request, action, f"{request.method} {path}", None, {"error": error.code}, "refused"))


def _event(
    request: Request,
    action: str,
    target: str,
    package_digest: str | None,
    details: dict[str, str],
    outcome: Outcome = "done",
) -> AuditEvent:
    caller: Principal | None = request.scope.get(CALLER)
    actor = None if caller is None else Actor(tenant=caller.tenant, key_id=caller.key_id)
    return AuditEvent(action, outcome, actor, target, package_digest, _request_id(request), details)


def _request_id(request: Request) -> str:
    """The id that the caller gave, or one that the lines of this request share."""
    made: str = request.scope.setdefault("adaptrix.audit_id", secrets.token_hex(16))
    return cleaned_id(request.headers.get(REQUEST_ID, "")) or made
