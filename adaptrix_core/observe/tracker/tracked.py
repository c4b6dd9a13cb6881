"""What one request leaves with the tracker: who asked, who answered, how it ended, its tokens and its times.

Never a prompt, never an answer. Texts that callers make up are cut and made storable here, so that no record can be one
that the file refuses.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Outcome = Literal["answered", "refused", "failed", "abandoned"]
"""``answered``: to its end. ``refused``: the caller's fault, or too much at once. ``failed``: the server's fault, or
its deadline. ``abandoned``: the client left before the end."""

OUTCOMES: tuple[Outcome, ...] = ("answered", "refused", "failed", "abandoned")

MOST_CHARACTERS = 128
"""Characters of a text that are kept: the longest name of an adapter, and more than those of tenants and keys."""
_MOST_TOKENS = 2**40
_LATEST = 2**33
"""Seconds since 1970 that no clock is past: the year 2242."""


class TrackedRequest(NamedTuple):
    """One request. Times in seconds; None where it never got that far."""

    at: float
    """When it ended, in seconds since 1970."""
    response_id: str
    """Id of its answer; of the request where it has none."""
    tenant: str
    key_id: str
    adapter: str
    """Who answered: a name of the catalogue, ``base``, ``mix``, ``fork`` or ``composition``; empty where nobody did."""
    model: str
    """What was asked for, as the caller wrote it."""
    endpoint: str
    outcome: Outcome
    error: str
    """Code of the error that it ended with; empty for none."""
    prompt_tokens: int
    cached_tokens: int
    """Those of the prompt that were found in the cache."""
    completion_tokens: int
    queue_s: float | None
    """Longest wait of its rows for the running batch."""
    load_s: float | None
    """Of that, until its adapters were on the device; None where they were there."""
    first_token_s: float | None
    per_token_s: float | None
    """Mean time between tokens, of its slowest row."""
    total_s: float
    replica: str
    """The replica that ended its first row; empty where that is not known."""


def storable(request: TrackedRequest) -> TrackedRequest:
    """The same within bounds: short texts of whole characters, and numbers that are none replaced by 0 or None."""
    return request._replace(
        at=min(max(_number(request.at) or 0.0, 0.0), _LATEST),
        response_id=_text(request.response_id),
        tenant=_text(request.tenant),
        key_id=_text(request.key_id),
        adapter=_text(request.adapter),
        model=_text(request.model),
        endpoint=_text(request.endpoint),
        error=_text(request.error),
        prompt_tokens=_count(request.prompt_tokens),
        cached_tokens=_count(request.cached_tokens),
        completion_tokens=_count(request.completion_tokens),
        queue_s=_number(request.queue_s),
        load_s=_number(request.load_s),
        first_token_s=_number(request.first_token_s),
        per_token_s=_number(request.per_token_s),
        total_s=_number(request.total_s) or 0.0,
        replica=_text(request.replica),
    )


def _text(text: str) -> str:
    """Half characters, which JSON can hold and UTF-8 cannot, become question marks; so does NUL."""
    return text[:MOST_CHARACTERS].replace("\0", "?").encode("utf-8", "replace").decode()


def _number(value: float | None) -> float | None:
    return max(float(value), 0.0) if value is not None and math.isfinite(value) else None


def _count(value: int) -> int:
    return min(max(value, 0), _MOST_TOKENS)
