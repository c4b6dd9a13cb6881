"""What all replicas have just refused is refused without asking them again, until something can have changed.

Under overload most calls are refused. Each that reaches a replica takes time there which the accepted ones need.
"""

from __future__ import annotations

import time
from collections.abc import Hashable

from adaptrix_core.errors import Overloaded, RetryLater
from deployments.wire import GenerateCall

LONGEST_S = 1.0
"""Places are also freed by clients that leave, which nobody can foretell."""


class RecentRefusals:
    """One ingress's memory of refusals, by what a replica's queue tells calls apart by."""

    def __init__(self) -> None:
        self._refused: dict[Hashable, tuple[float, Overloaded]] = {}
        """Until when, on the monotonic clock, and why."""

    def check(self, call: GenerateCall) -> None:
        """Raise Overloaded for a new call like one that was refused and should not have come again yet."""
        until, error = self._refused.get(_kind(call), (0.0, None))
        left_s = until - time.monotonic()
        if error is not None and left_s > 0 and not call.resume:
            raise Overloaded(error.message, retry_after_s=left_s)

    def note(self, call: GenerateCall, error: RetryLater) -> None:
        """``call`` was refused by every replica that there is; ``error`` asks for the shortest wait."""
        now = time.monotonic()
        self._refused = {kind: known for kind, known in self._refused.items() if known[0] > now}
        if isinstance(error, Overloaded) and error.code == Overloaded.code and error.retry_after_s is not None:
            self._refused[_kind(call)] = (now + min(error.retry_after_s, LONGEST_S), error)


def _kind(call: GenerateCall) -> Hashable:
    """Tenant, adapters, urgency and number of rows. A shorter call might have been taken a moment earlier."""
    return call.salt, call.mixes, call.priority, call.sampling.get("n", 1)
