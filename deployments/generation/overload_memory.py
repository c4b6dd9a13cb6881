"""What all replicas have just refused is refused without asking them again, until something can have changed.

Under overload most calls are refused. Each that reaches a replica takes time there which the accepted ones need.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

from adaptrix_core.errors import Overloaded, RetryLater
from deployments.shared.errors import AllBusy
from deployments.shared.wire import GenerateCall

LONGEST_S = 1.0
"""Places are also freed by clients that leave, which nobody can foretell."""
QUEUED_SHARE = 0.05
"""A place is free again soon, but a queue that takes so much longer to compute does not run empty meanwhile."""


class OverloadMemory:
    """One ingress's memory of refusals, by what a replica's queue tells calls apart by."""

    def __init__(self) -> None:
        self._refused: dict[Hashable, tuple[float, float, str]] = {}
        """Until when, when a place is expected to be free, on the monotonic clock, and why."""

    def check(self, call: GenerateCall) -> None:
        """Raise AllBusy for a new call like one that was refused and should not have come again yet."""
        until, free, message = self._refused.get(_kind(call), (0.0, 0.0, ""))
        now = time.monotonic()
        if until > now and not call.resume:
            raise AllBusy(message, retry_after_s=max(until, free) - now, alike_s=until - now)

    def note(self, call: GenerateCall, error: RetryLater) -> RetryLater:
        """``call`` was refused by every replica that there is, for its wait; ``error`` asks for the shortest one.

        Returns what to tell the caller.
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
    """Tenant, adapters, urgency and number of rows. A shorter call might have been taken a moment earlier."""
    return call.salt, call.mixes, call.priority, call.sampling.get("n", 1)
