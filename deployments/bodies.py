"""Request bodies: bytes into a checked document, with an error that says what is wrong and where.

Knows encodings, JSON and sizes. What a document may say is the business of `schemas.py`.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from adaptrix_core.errors import InvalidRequest
from deployments.errors import BodyTooLarge, invalid_body

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request, limit: int, setting: str = "security.max_body_bytes") -> bytes:
    """The whole body. Raises BodyTooLarge, which names ``setting``, as early as the size is known."""
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


def parse_body(data: bytes, model: type[Model]) -> Model:
    """The document in ``data``. Raises InvalidRequest that lists every fault."""
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_not_a_number)
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"the body is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}; encode it as UTF-8",
            code="invalid_utf8",
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}", code="invalid_json"
        ) from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deeply; flatten it", code="invalid_json") from None
    except ValueError as error:  # an integer of more digits than Python converts
        raise InvalidRequest(f"the body is not JSON: {error}", code="invalid_json") from None
    if b"\\u" in data:
        _refuse_half_characters(document)
    if not isinstance(document, dict):
        raise InvalidRequest(f"the body is a JSON {_kind(document)}; send an object", code="invalid_json")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise invalid_body(error, model) from None


def _refuse_half_characters(document: object) -> None:
    """JSON can escape half of a surrogate pair, which is no text and which no tokenizer takes."""
    try:
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise InvalidRequest(
            f"the body holds {half} without its other half; send whole characters", code="invalid_utf8"
        ) from None


def _not_a_number(name: str) -> NoReturn:
    raise InvalidRequest(f"the body holds {name}, which is not JSON; send a finite number", code="invalid_json")


def _kind(document: Any) -> str:
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(document), "value")


def _too_large(size: int, limit: int, setting: str) -> NoReturn:
    raise BodyTooLarge(
        f"the body has {size} bytes or more; at most {limit} are accepted (setting {setting}): send less"
    )
