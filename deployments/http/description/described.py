"""What one endpoint takes, gives and refuses, as keyword arguments of its decorator; the document is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.responses import Response

from deployments.callers.scopes import Scope
from deployments.http.description.answers import Document, ErrorDocument
from deployments.openai.body import Body

REF = "#/components/schemas/{model}"
"""Place of a model's schema in the document."""
_TAGS: Mapping[Scope | None, str] = {
    "read": "use",
    "generate": "use",
    "publish": "operate",
    "keys": "operate",
    "operate": "operate",
}
"""The part of the page under which an endpoint stands, by the scope that it needs; others under ``status``."""

_ERRORS = {
    400: "The request cannot be used as it stands; `param` names the field.",
    401: "No API key, or an unknown one.",
    403: "The key lacks the scope, or what was asked for is not allowed.",
    404: "No such model, adapter, file or batch.",
    409: "It contradicts what is in force or under way.",
    413: "The body is too large.",
    415: "The body is in another encoding.",
    422: "The adapter was refused.",
    429: "Every queue is full, or the deadline cannot be kept.",
    503: "Not ready, or a part of the server was lost.",
    504: "The deadline passed.",
    507: "The server's own disk is full or cannot be written.",
}
READING = (401, 403, 503)
TAKING = (400, *READING, 413, 415)
GENERATING = (*TAKING, 404, 422, 429, 504)
KEPT = (400, *READING, 404, 507)
CHANGING = (*TAKING, 404, 409, 422, 504, 507)
"""Statuses of errors, by the kind of endpoint."""

_TIMEOUT = {
    "name": "x-request-timeout-seconds",
    "in": "header",
    "description": "Seconds after which the request ends everywhere, done or not.",
    "schema": {"type": "number", "exclusiveMinimum": 0, "maximum": 86400},
}
_REQUEST_ID = {
    "name": "x-request-id",
    "in": "header",
    "description": "Goes into logs and traces: 128 characters of visible ASCII.",
    "schema": {"type": "string"},
}
_ANSWER_HEADERS = {
    "x-adaptrix-adapter": "Who answers: `base`, a name or a mix; forks separated by commas.",
    "x-adaptrix-digest": "Package digest of each adapter, in the same order.",
    "x-adaptrix-route-score": "Where the router decided: the score.",
    "x-adaptrix-confidence": "Where asked for, of a whole answer: the confidence of each choice, or `none`.",
    "x-adaptrix-fallback": "Why the base model answers in place of an adapter.",
    "x-adaptrix-warning": "What is known of a mix that spoils its adapters' answers.",
}


def described(
    summary: str,
    *,
    scope: Scope | None = None,
    takes: type[Body] | None = None,
    example: dict[str, Any] | None = None,
    takes_file: str | None = None,
    gives: type[Document] | str = "text/plain",
    events: type[Document] | None = None,
    status: int = 200,
    errors: Sequence[int] = (),
    refuses: type[Document] = ErrorDocument,
) -> dict[str, Any]:
    """Keyword arguments for an endpoint's decorator.

    takes, takes_file: the JSON body (with an example), or the media type of another one. gives: the document, or the
    media type of a text. events: the document of a stream's events, for endpoints that stream. scope: what a key
    needs; None: no key. refuses: the document of errors.
    """
    extra: dict[str, Any] = {"security": [{"key": []}, {}] if scope else []}
    if scope is not None:
        extra["x-adaptrix-scope"] = scope
    if takes is not None:
        schema = {"$ref": REF.format(model=takes.__name__)}
        content = {"schema": schema, **({} if example is None else {"example": example})}
        extra["requestBody"] = {"required": True, "content": {"application/json": content}}
    if takes_file is not None:
        binary = {"schema": {"type": "string", "format": "binary"}}
        extra["requestBody"] = {"required": True, "content": {takes_file: binary}}
    if events is not None:
        extra["parameters"] = [_TIMEOUT, _REQUEST_ID]
    answer = _answer(gives, events)
    told = {code: {"description": _ERRORS[code], "content": _json(refuses)} for code in sorted(errors)}
    return {
        "summary": summary,
        "tags": [_TAGS.get(scope, "status")],
        "responses": {status: answer, **told},
        "openapi_extra": extra,
        "response_class": Response,
        "status_code": status,
    }


def _answer(gives: type[Document] | str, events: type[Document] | None) -> dict[str, Any]:
    content = {gives: {"schema": {"type": "string"}}} if isinstance(gives, str) else _json(gives)
    answer: dict[str, Any] = {"description": "The answer.", "content": content}
    if events is not None:
        name = events.__name__
        text = f"Server-sent events; the `data:` of each is a `{name}`, or an error. OpenAI's end with `data: [DONE]`."
        # No type: some readers of this document hold each event, parsed, against the schema.
        content["text/event-stream"] = {"schema": {"description": text}}
        answer["headers"] = {
            header: {"description": about, "schema": {"type": "string"}} for header, about in _ANSWER_HEADERS.items()
        }
    return answer


def _json(model: type[Document]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
