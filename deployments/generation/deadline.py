"""Step 5 of the pipeline: the deadline that a client sets with ``x-request-timeout-seconds``, enforced in the ingress.

The engine enforces it too, and frees the request's blocks and slots. Here it covers everything else: routing, a replica
that does not answer, a step that takes long. Ray Serve's proxy reads the same header and would cut the connection
without an error document, so ours is a little earlier.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from adaptrix_core.errors import AdaptrixError, InvalidRequest, RequestTimeout
from adaptrix_core.request_limits import MOST

HEADER = "x-request-timeout-seconds"
MARGIN_S = 0.25
MARGIN_SHARE = 0.25
"""The ingress's deadline is earlier than the client's by `MARGIN_S` seconds or this share of it, the smaller of the
two."""


class Deadline:
    """The time at which a request ends, or none; a request can be ended before it, too."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._at = math.inf if timeout_s is None else time.monotonic() + timeout_s - margin_s(timeout_s)
        self._ended: AdaptrixError | None = None
        self._scopes: set[asyncio.Timeout] = set()
        """Of the bodies that run inside of `limit` now."""

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Deadline:
        """The deadline that the request's headers set. Raises InvalidRequest."""
        text = headers.get(HEADER)
        if text is None:
            return cls(None)
        try:
            timeout_s = float(text)
        except ValueError:
            timeout_s = math.nan
        if not 0 < timeout_s <= MOST.timeout_s:
            raise InvalidRequest(
                f"header {HEADER} is {text[:40]!r}; it must be a number of seconds above 0 and at most "
                f"{MOST.timeout_s:.0f}, or left out",
                param=HEADER,
            )
        return cls(timeout_s)

    def end(self, error: AdaptrixError) -> None:
        """End the request now: what runs inside of `limit`, and what will, raises ``error``."""
        self._ended = error
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(asyncio.get_running_loop().time())

    @property
    def remaining_s(self) -> float | None:
        """Seconds left, always above 0; None without a deadline."""
        return None if self._timeout_s is None else max(1e-3, self._at - time.monotonic())

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Raise RequestTimeout where the body takes longer than is left, or the error by which the request is ended."""
        if self._ended is not None:
            raise self._ended
        # Without a deadline it waits for `end` alone, and the clock is not asked.
        scope = asyncio.Timeout(None) if self._timeout_s is None else asyncio.timeout(self.remaining_s)
        self._scopes.add(scope)
        try:
            async with scope:
                yield
        except TimeoutError:
            if not scope.expired():
                raise
            if self._ended is not None:
                raise self._ended from None
            raise RequestTimeout(
                f"the request did not end within the {self._timeout_s:g} s that its header {HEADER} allows; allow "
                "more, or ask for fewer tokens",
                code="deadline_exceeded",
            ) from None
        finally:
            self._scopes.discard(scope)


def margin_s(timeout_s: float) -> float:
    """Seconds by which a request ends before its client's deadline."""
    return min(MARGIN_S, MARGIN_SHARE * timeout_s)
