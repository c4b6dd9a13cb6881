"""Remembers overload: a kind of call that all replicas have just refused is refused without asking them, for a while.

Under overload most calls are refused. Each that reaches a replica takes time there which the accepted ones need.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

from adaptrix_core.errors import Overloaded, RetryLater
from deployments.shared.errors import AllBusy
from deployments.shared.wire import GenerateCall

LONGEST_S = 1.0
"""Longest time, in seconds, that a refusal is remembered: places are also freed by clients that leave unexpectedly."""
QUEUED_SHARE = 0.05
"""Time for which a refusal is remembered at least, as a share of the queue's expected wait. One place may be free
sooner, but a long queue does not run empty meanwhile."""


class OverloadMemory:
    """One ingress's memory of refusals, by kind of call: the properties that decide about its place in a queue."""

    def __init__(self) -> None:
        self._refused: dict[Hashable, tuple[float, float, str]] = {}
        """By kind of call: (end of the memory, expected time of a free place, message), on the monotonic clock."""

    def check(self, call: GenerateCall) -> None:
        """Raise AllBusy for a new call of a kind whose refusal is still remembered."""
        until, free, message = self._refused.get(_kind(call), (0.0, 0.0, ""))
        now = time.monotonic()
        if until > now and not call.resume:
            raise AllBusy(message, retry_after_s=max(until, free) - now, alike_s=until - now)

    def note(self, call: GenerateCall, error: RetryLater) -> RetryLater:
        """Note that every replica has refused ``call`` for its wait; ``error`` is the refusal with the shortest one.

        Returns the error for the client.
        """
        now = time.monotonic()
        self._refused = {kind: known for kind, known in self._refused.items() if known[0] > now}
        wait_s = error.retry_after_s
        if not isinstance(error, Overloaded) or wait_s is None or not call.is_alone:
            return error
        alike_s = min(max(wait_s, QUEUED_SHARE * (error.wait_s or 0.0)), LONGEST_S)
        self._refused[_kind(call)] = (now + alike_s, now + wait_s, error.message)
        return AllBusy(error.message, retry_after_s=wait_s, alike_s=alike_s)


def _kind(call: GenerateCall) -> Hashable:
    """The kind of a call: tenant, adapters, priority and number of choices; its length makes little difference."""
    return call.salt, call.mixes, call.priority, call.sampling.get("n", 1)
