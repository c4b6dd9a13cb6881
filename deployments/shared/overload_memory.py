"""Remembers overload: the answer to a request that was refused for it is given to others of its kind, for a while.

Under overload most requests are refused. Each that reaches a replica takes time there which the accepted ones need, and
the way to it costs about the same for a refused request as for an answered one. Does not know what a kind is, or what
the answer looks like: the ingress and the proxy have their own.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TLRUCache

Answer = TypeVar("Answer")

LONGEST_S = 1.0
"""Longest time, in seconds, that a refusal is remembered: places are also freed by clients that leave unexpectedly."""
QUEUED_SHARE = 0.05
"""Time for which a refusal is remembered at least, as a share of the queue's expected wait. One place may be free
sooner, but a long queue does not run empty meanwhile."""


def remembered_s(retry_after_s: float, wait_s: float) -> float:
    """Seconds for which a refusal is remembered, from those until a place is free and the queue's expected wait."""
    return min(max(retry_after_s, QUEUED_SHARE * wait_s), LONGEST_S)


@dataclass(frozen=True)
class RememberedRefusal(Generic[Answer]):
    """A refusal, at the moment when it is noted or looked up."""

    answer: Answer
    alike_s: float
    """Seconds for which requests of its kind get the same answer."""
    retry_after_s: float
    """Seconds after which such a request may succeed."""


class OverloadMemory(Generic[Answer]):
    """One process's memory of refusals, by kind of request. For one thread."""

    def __init__(self, most_kinds: int) -> None:
        """most_kinds: kinds that are remembered at once; further ones are not."""
        self._refused: TLRUCache[Hashable, tuple[float, RememberedRefusal[Answer]]] = TLRUCache(
            most_kinds, ttu=lambda _, noted, now: now + noted[1].alike_s, timer=time.monotonic
        )

    def __bool__(self) -> bool:
        """Whether any refusal is remembered."""
        return len(self._refused) > 0

    def find(self, kind: Hashable) -> RememberedRefusal[Answer] | None:
        """The refusal of this kind, with the times that are left; None where none is remembered."""
        noted = self._refused.get(kind)
        if noted is None:
            return None
        at, refusal = noted
        age_s = time.monotonic() - at
        again_s = max(refusal.alike_s, refusal.retry_after_s)
        return RememberedRefusal(refusal.answer, refusal.alike_s - age_s, again_s - age_s)

    def note(self, kind: Hashable, refusal: RememberedRefusal[Answer]) -> None:
        """Remember a refusal that was made now, in place of an earlier one of its kind."""
        if kind in self._refused or len(self._refused) < self._refused.maxsize:
            self._refused[kind] = (time.monotonic(), refusal)
