"""Describes what each endpoint takes, gives and refuses, for OpenAPI: keyword arguments of its decorator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.responses import Response

from adaptrix_core.request_limits import MOST
from deployments.anthropic.request import MessagesRequest
from deployments.http.description import (
    answers,
    generated_answers,
    message_answers,
    response_answers,
    stored_answers,
    token_answers,
)
from deployments.http.description.answers import Document, ErrorDocument
from deployments.openai import schemas, token_bodies
from deployments.openai.batches.request import BatchRequest
from deployments.openai.body import Body
from deployments.responses.request import ResponsesRequest
from deployments.shared.principals import Scope

REF = "#/components/schemas/{model}"
"""Place of a model's schema in the document."""
BODIES: tuple[type[Body], ...] = (
    schemas.ChatRequest,
    schemas.CompletionRequest,
    ResponsesRequest,
    MessagesRequest,
    schemas.EmbeddingRequest,
    schemas.RouteRequest,
    schemas.LoadRequest,
    schemas.UnloadRequest,
    schemas.RevocationRequest,
    BatchRequest,
    token_bodies.TokenizeRequest,
    token_bodies.DetokenizeRequest,
)
ANSWERS: tuple[type[Document], ...] = (
    ErrorDocument,
    generated_answers.ChatCompletion,
    generated_answers.ChatCompletionChunk,
    generated_answers.TextCompletion,
    response_answers.ResponseDocument,
    response_answers.ResponseEvent,
    response_answers.ResponseDeleted,
    response_answers.InputItemList,
    message_answers.AnthropicError,
    message_answers.MessageDocument,
    message_answers.MessageEvent,
    answers.EmbeddingList,
    answers.Route,
    answers.ModelList,
    answers.AdapterList,
    answers.AdapterInFull,
    answers.Published,
    answers.Revocations,
    answers.RevocationsPut,
    answers.Health,
    answers.Version,
    token_answers.TokenizedDocument,
    token_answers.DetokenizedDocument,
    stored_answers.FileDocument,
    stored_answers.FileList,
    stored_answers.FileDeleted,
    stored_answers.BatchDocument,
    stored_answers.BatchList,
)

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
_ALLOW_DOWNGRADE = {
    "name": "allow_downgrade",
    "in": "query",
    "description": "Whether the bare name may come to mean an older version than before.",
    "schema": {"type": "boolean", "default": False},
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
    "x-adaptrix-fallback": "Why the base model answers in place of an adapter.",
}


def _described(
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
        "tags": [{"admin": "operate", "generate": "use"}.get(scope or "", "status")],
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
        text = f"Server-sent events: `data:` and one `{name}`, or one `ErrorDocument`, each; then `data: [DONE]`."
        content["text/event-stream"] = {"schema": {"type": "string", "description": text}}
        answer["headers"] = {
            header: {"description": about, "schema": {"type": "string"}} for header, about in _ANSWER_HEADERS.items()
        }
    return answer


def _json(model: type[Document]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}


CHAT = _described(
    "Chat, streamed or not",
    scope="generate",
    takes=schemas.ChatRequest,
    example={"model": "auto", "messages": [{"role": "user", "content": "What is 12 + 30 - 5?"}], "max_tokens": 32},
    gives=generated_answers.ChatCompletion,
    events=generated_answers.ChatCompletionChunk,
    errors=GENERATING,
)
COMPLETION = _described(
    "Raw text or token ids, one prompt or several",
    scope="generate",
    takes=schemas.CompletionRequest,
    example={"model": "smollm2-135m", "prompt": "Once upon a time", "max_tokens": 16, "temperature": 0},
    gives=generated_answers.TextCompletion,
    events=generated_answers.TextCompletion,
    errors=GENERATING,
)
TOKENIZE = _described(
    "The tokens of a prompt, or of chat messages",
    scope="generate",
    takes=token_bodies.TokenizeRequest,
    example={"model": "smollm2-135m", "prompt": "Once upon a time", "return_token_strs": True},
    gives=token_answers.TokenizedDocument,
    errors=(*TAKING, 404, 429),
)
DETOKENIZE = _described(
    "The text of tokens",
    scope="generate",
    takes=token_bodies.DetokenizeRequest,
    example={"model": "smollm2-135m", "tokens": [1, 2, 3]},
    gives=token_answers.DetokenizedDocument,
    errors=(*TAKING, 404, 429),
)
RESPONSES = _described(
    "One answer in OpenAI's Responses API, streamed or not",
    scope="generate",
    takes=ResponsesRequest,
    example={"model": "auto", "input": "What is 12 + 30 - 5?", "max_output_tokens": 32},
    gives=response_answers.ResponseDocument,
    events=response_answers.ResponseEvent,
    errors=GENERATING,
)
RESPONSE = _described(
    "A stored response", scope="generate", gives=response_answers.ResponseDocument, errors=(400, *READING, 404, 507)
)
RESPONSE["openapi_extra"]["parameters"] = [
    {"name": "stream", "in": "query", "description": "Only false: it is sent whole.", "schema": {"enum": ["false"]}}
]
RESPONSE_DELETED = _described(
    "Delete a stored response",
    scope="generate",
    gives=response_answers.ResponseDeleted,
    errors=(*READING, 404, 507),
)
MESSAGES = _described(
    "One answer in Anthropic's Messages API, streamed or not",
    scope="generate",
    takes=MessagesRequest,
    example={"model": "auto", "messages": [{"role": "user", "content": "What is 12 + 30 - 5?"}], "max_tokens": 32},
    gives=message_answers.MessageDocument,
    events=message_answers.MessageEvent,
    errors=GENERATING,
    refuses=message_answers.AnthropicError,
)
EMBEDDINGS = _described(
    "Vectors of the router's embedder",
    scope="generate",
    takes=schemas.EmbeddingRequest,
    example={"model": "auto", "input": ["one text", "another one"]},
    gives=answers.EmbeddingList,
    errors=TAKING,
)
ROUTE = _described(
    "Explain a routing decision without generating",
    scope="generate",
    takes=schemas.RouteRequest,
    example={"messages": [{"role": "user", "content": "Write a function that reverses a list."}]},
    gives=answers.Route,
    errors=TAKING,
)
MODELS = _described(
    "The base model, auto, and every adapter", scope="generate", gives=answers.ModelList, errors=READING
)
MODEL = _described("One of the models", scope="generate", gives=answers.ModelCard, errors=(*READING, 404))
ADAPTERS = _described(
    "Every adapter: digest, signer, residency", scope="generate", gives=answers.AdapterList, errors=READING
)
ADAPTER = _described(
    "One of the adapters, with what it says about itself",
    scope="generate",
    gives=answers.AdapterInFull,
    errors=(*READING, 404),
)
LOAD = _described(
    "Load an adapter from a directory; 200 means durable and usable on every replica",
    scope="admin",
    takes=schemas.LoadRequest,
    example={"lora_name": "my_adapter", "lora_path": "adapters/my_adapter"},
    errors=CHANGING,
)
UNLOAD = _described(
    "Unload an adapter; running requests end first",
    scope="admin",
    takes=schemas.UnloadRequest,
    example={"lora_name": "my_adapter"},
    errors=CHANGING,
)
PUBLISH = _described(
    "Publish a signed adapter: a plain tar of its directory; 201 where it is new, 200 where it was there",
    scope="admin",
    takes_file="application/x-tar",
    gives=answers.Published,
    status=201,
    errors=CHANGING,
)
PUBLISH["responses"][200] = PUBLISH["responses"][201]
PUBLISH["openapi_extra"]["parameters"] = [_ALLOW_DOWNGRADE]
REVOCATIONS = _described(
    "The signed revocation list in force", scope="generate", gives=answers.Revocations, errors=READING
)
REVOKE = _described(
    "Put the next revocation list in force",
    scope="admin",
    takes=schemas.RevocationRequest,
    gives=answers.RevocationsPut,
    errors=CHANGING,
)
_PAGE: list[dict[str, Any]] = [
    {"name": name, "in": "query", "description": meaning, "schema": schema}
    for name, meaning, schema in (
        ("after", "Id of the object before the first one of the page.", {"type": "string"}),
        ("order", "By the time of making.", {"enum": ["asc", "desc"], "default": "desc"}),
    )
]


def _limit(most: int, default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return {"name": "limit", "in": "query", "description": "Most objects of the page.", "schema": schema}


FILE_UPLOAD = _described(
    "Upload a file, such as the lines of a batch",
    scope="generate",
    takes_file="multipart/form-data",
    gives=stored_answers.FileDocument,
    errors=(*TAKING, 429, 507),
)
FILE_UPLOAD["openapi_extra"]["requestBody"]["content"]["multipart/form-data"]["schema"] = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "purpose": {"enum": ["batch"]},
        "expires_after[anchor]": {"enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600},
    },
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
    "additionalProperties": False,
}
FILES = _described("The tenant's files", scope="generate", gives=stored_answers.FileList, errors=KEPT)
_PURPOSE = {"name": "purpose", "in": "query", "description": "Only files of it.", "schema": {"type": "string"}}
FILES["openapi_extra"]["parameters"] = [*_PAGE, _limit(MOST.listed_files, MOST.listed_files), _PURPOSE]
FILE = _described("One of the files", scope="generate", gives=stored_answers.FileDocument, errors=KEPT)
FILE_DELETE = _described("Delete a file", scope="generate", gives=stored_answers.FileDeleted, errors=(*KEPT, 409))
FILE_CONTENT = _described("What is in a file", scope="generate", gives="application/octet-stream", errors=KEPT)
RESPONSE_ITEMS = _described(
    "What a stored response answered: all items of the conversation before it",
    scope="generate",
    gives=response_answers.InputItemList,
    errors=(400, *READING, 404, 507),
)
RESPONSE_ITEMS["openapi_extra"]["parameters"] = [*_PAGE, _limit(MOST.listed_items, 20)]
BATCH_CREATE = _described(
    "Have a file of requests answered, behind all others",
    scope="generate",
    takes=BatchRequest,
    example={"input_file_id": "file-0", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    gives=stored_answers.BatchDocument,
    errors=(*TAKING, 404, 429, 507),
)
BATCHES = _described("The tenant's batches", scope="generate", gives=stored_answers.BatchList, errors=KEPT)
BATCHES["openapi_extra"]["parameters"] = [_PAGE[0], _limit(MOST.listed_batches, 20)]
BATCH = _described("One of the batches", scope="generate", gives=stored_answers.BatchDocument, errors=KEPT)
BATCH_CANCEL = _described(
    "End a batch; what is answered is kept", scope="generate", gives=stored_answers.BatchDocument, errors=(*KEPT, 409)
)
HEALTH = _described("Whether requests can be served", gives=answers.Health)
HEALTH["openapi_extra"]["parameters"] = [
    {
        "name": name,
        "in": "query",
        "allowEmptyValue": True,
        "schema": {"type": "string", "maxLength": 0},
        "description": meaning,
    }
    for name, meaning in (
        ("live", "Whether this ingress answers at all; asks nobody else. For liveness probes."),
        ("ready", "Whether requests can be served, as without it. For load balancers."),
    )
]
HEALTH["responses"][503] = {**HEALTH["responses"][200], "description": "Not ready; what is missing."}
PING = _described("Whether requests can be served, as SageMaker asks: 200 or 503, without a body", gives="text/plain")
PING["responses"][503] = {**PING["responses"][200], "description": "Not ready."}
VERSION = _described("The version of this server", gives=answers.Version)
METRICS = _described("Prometheus text", scope="generate", errors=(401,))
