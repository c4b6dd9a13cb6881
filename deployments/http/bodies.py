"""Request bodies: bytes into a checked document, or an error that names the fault and its place.

Knows sizes, and the thread that the work runs in. JSON is the business of `json_body.py`, the contents of a document
that of `openai/schemas.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request

from adaptrix_core.config.sections import SecuritySettings
from adaptrix_core.errors import InvalidRequest
from deployments.http.faults import invalid_body
from deployments.http.json_body import parse_json
from deployments.openai.body import Body
from deployments.shared.errors import BodyTooLarge, UnsupportedEncoding

Model = TypeVar("Model", bound=Body)
T = TypeVar("T")

QUICK_BYTES = 32 << 10
"""Largest body, in bytes, that is parsed and checked in the event loop, which takes about a millisecond."""
_LARGE_BODIES = ThreadPoolExecutor(1, "adaptrix-large-bodies")
"""The thread that parses larger bodies, one after the other, so that the event loop does not wait for them."""


async def read_body(request: Request, limit: int, setting: str = "security.max_body_bytes") -> bytes:
    """The whole body. Raises UnsupportedEncoding, and, as early as possible, BodyTooLarge, which names ``setting``."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedEncoding(f"content-encoding is {encoding[:40]!r}; send the body as it is, without one")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        _too_large(int(announced), limit, setting)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                _too_large(size, limit, setting)
            parts.append(part)
    except ClientDisconnect as error:
        raise InvalidRequest("the client went away while it sent the body") from error
    return b"".join(parts)


async def read_document(request: Request, settings: SecuritySettings, model: type[Model]) -> Model:
    """The checked document in the body. Raises InvalidRequest, BodyTooLarge."""
    data = await read_body(request, settings.max_body_bytes)
    if len(data) <= QUICK_BYTES:
        return parse_body(data, model, settings.max_text_characters)
    work = partial(parse_body, data, model, settings.max_text_characters)
    return await asyncio.get_running_loop().run_in_executor(_LARGE_BODIES, work)


async def translated(request: Request, work: Callable[[], T]) -> T:
    """The result of ``work``, whose cost grows with the request's body: done where a body of its size is parsed."""
    size = request.headers.get("content-length", "")
    if size.isdigit() and len(size) < 9 and int(size) <= QUICK_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_LARGE_BODIES, work)


def parse_body(data: bytes, model: type[Model], max_characters: int) -> Model:
    """The document in ``data``. Raises InvalidRequest, also for more text than may be tokenised."""
    document = parse_json(data)
    if not isinstance(document, dict):
        raise InvalidRequest(f"the body is a JSON {_kind(document)}; send an object", code="invalid_json")
    try:
        body = model.model_validate(document)
    except ValidationError as error:
        raise invalid_body(error, model) from None
    require_characters(body, max_characters)
    return body


def require_characters(body: Body, most: int) -> None:
    """Raise InvalidRequest for more text than may be tokenised."""
    if (num_characters := body.num_characters()) > most:
        raise InvalidRequest(
            f"the request holds {num_characters} characters of text; at most {most} are accepted "
            "(setting security.max_text_characters): send less, or several requests",
            code="text_too_long",
        )


def _kind(document: Any) -> str:
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(document), "value")


def _too_large(size: int, limit: int, setting: str) -> NoReturn:
    raise BodyTooLarge(
        f"the body has {size} bytes or more; at most {limit} are accepted (setting {setting}): send less"
    )
