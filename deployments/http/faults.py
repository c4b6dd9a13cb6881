"""Pydantic's faults of a body in a short message: the first ones, with their values shortened.

The cost of a report is bounded, whatever was sent: the models of `openai/schemas.py` stop at the first fault of a
list and at a few unknown fields, and here no value is written out that is longer than the message may show.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adaptrix_core.errors import InvalidRequest
from deployments.http.refusals.fields import REASONS
from deployments.openai.body import Body

MAX_FAULTS = 10
"""Most faults in one answer."""
MAX_FAULT = 400
MAX_NAME = 64
MAX_VALUE = 80
"""Longest text, in characters, of a fault, a field's name and a value."""


def invalid_body(error: ValidationError, model: type[Body] | None) -> InvalidRequest:
    """The first faults of a body in one message; ``param`` names the field of the first."""
    details = error.errors(include_url=False)
    told = details[:MAX_FAULTS]
    faults = list(dict.fromkeys(_fault(detail, model)[:MAX_FAULT] for detail in told))
    if len(details) > len(told):
        faults.append(f"and {len(details) - len(told)} more")
    return InvalidRequest("; ".join(faults), code=_code(told), param=_field_path(details[0]["loc"]))


def _code(details: Sequence[ErrorDetails]) -> str:
    if all(detail["type"] == "extra_forbidden" for detail in details):
        return "unsupported_field"
    return "invalid_request"


def _fault(detail: ErrorDetails, model: type[Body] | None) -> str:
    path = _field_path(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"field {path!r} is not supported{_instead(detail['loc'], model)}"
    if detail["type"] == "missing":
        return f"field {path!r} is required"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if path is None:
        return message
    return f"{path}: {message}{_shown(detail['input'])}"


def _instead(location: Sequence[int | str], model: type[Body] | None) -> str:
    name = str(location[-1])
    is_of_body = model is not None and len(location) == 1
    if name in REASONS and (model is None or not is_of_body or name in model.neutral.refused):
        return f": {REASONS[name]}; remove it, or send null"
    fields = list(model.model_fields) if model is not None and is_of_body and len(name) <= MAX_NAME else []
    near = difflib.get_close_matches(name, fields, n=1)
    return f"; did you mean {near[0]!r}?" if near else "; remove it"


def _shown(value: object) -> str:
    """The value for the message; left out where it is too long to help."""
    if isinstance(value, dict | list):
        return f", not {type(value).__name__}"
    if isinstance(value, str) and len(value) > MAX_VALUE:
        return ""
    written = repr(value)
    return f", not {written}" if len(written) <= MAX_VALUE else ""


def _field_path(location: Sequence[int | str]) -> str | None:
    """``messages.0.content``; tags that pydantic adds for the members of a union are left out."""
    parts = [str(part)[:MAX_NAME] for part in location if isinstance(part, int) or str(part)[:MAX_NAME].isidentifier()]
    return ".".join(part for part in parts if part not in ("str", "int", "float", "bool", "key")) or None
