"""The query parameters of `GET /v1/usage` as a question to the tracker: whose requests, of which time, how divided."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from adaptrix_core.errors import Forbidden, InvalidRequest
from adaptrix_core.observe.tracker.documents import BUCKET_WIDTHS
from adaptrix_core.observe.tracker.questions import DIMENSIONS, Dimension, UsageQuestion
from deployments.callers.principal import Principal

DAY_S = 86_400.0
"""The time before now that is told of where the request does not say, in seconds."""
KNOWN = ("start_time", "end_time", "bucket_width", "group_by", *DIMENSIONS)
LATEST = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""


def asked_of(parameters: Mapping[str, str], principal: Principal) -> UsageQuestion:
    """The question. Raises InvalidRequest, and Forbidden for another tenant's requests."""
    for name in parameters:
        if name not in KNOWN:
            raise InvalidRequest(
                f"parameter {name[:80]!r} is not supported; there are {', '.join(KNOWN)}",
                code="unsupported_field",
                param=name[:80],
            )
    start = _moment(parameters, "start_time")
    end = _moment(parameters, "end_time")
    if start is None:
        start = (time.time() if end is None else end) - DAY_S
    if end is not None and end <= start:
        raise InvalidRequest(f"end_time is {end:g}, not after start_time ({start:g})", param="end_time")
    return UsageQuestion(start, end, _dimensions(parameters), _period(parameters), _only(parameters, principal))


def _moment(parameters: Mapping[str, str], name: str) -> float | None:
    """Seconds since 1970, from themselves or from a date or time in ISO 8601 (UTC where it has no offset)."""
    if name not in parameters:
        return None
    text = parameters[name]
    if text.isascii() and text.isdigit() and len(text) <= 12:
        if int(text) <= LATEST:
            return float(text)
    elif text[:4].isdigit():
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    raise InvalidRequest(
        f"{name} is {text[:40]!r}; it must be in seconds since 1970, or a date or time such as 2026-12-01", param=name
    )


def _period(parameters: Mapping[str, str]) -> Any:
    width = parameters.get("bucket_width")
    if width is not None and width not in BUCKET_WIDTHS:
        raise InvalidRequest(
            f"bucket_width is {width[:40]!r}; it must be {' or '.join(BUCKET_WIDTHS)}", param="bucket_width"
        )
    return None if width is None else BUCKET_WIDTHS[width]


def _dimensions(parameters: Mapping[str, str]) -> tuple[Dimension, ...]:
    wanted = parameters.get("group_by", "adapter")
    names = wanted.split(",") if wanted else []
    found = tuple(dimension for dimension in DIMENSIONS if dimension in names)
    if len(found) != len(names):
        raise InvalidRequest(
            f"group_by is {wanted[:80]!r}; it must be some of {', '.join(DIMENSIONS)}, each once, separated by commas",
            param="group_by",
        )
    return found


def _only(parameters: Mapping[str, str], principal: Principal) -> dict[Dimension, str]:
    """The names that are meant. Whose requests a caller without the scope ``operate`` sees is not his to say."""
    only: dict[Dimension, str] = {name: parameters[name] for name in DIMENSIONS if name in parameters}
    if "operate" not in principal.scopes:
        if only.get("tenant", principal.tenant) != principal.tenant:
            raise Forbidden(
                f"tenant: API key {principal.key_id!r} sees the requests of its own tenant only; leave it out, or use "
                "a key with the role operator",
                param="tenant",
            )
        only["tenant"] = principal.tenant
    return only
