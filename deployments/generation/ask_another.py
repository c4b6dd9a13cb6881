"""Step 2 of the pipeline: a call that one replica refuses goes to another, a few times, before its client gets the
error.

That one replica is full says nothing about the others; where all have refused, the next calls of its kind are refused
without asking them, for a while. Only calls that no replica has begun are repeated. Knows no Ray.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from adaptrix_core.errors import AdaptrixError, Overloaded, RetryLater
from deployments.placement.known_replicas import all_have_refused
from deployments.shared.errors import AllBusy
from deployments.shared.overload_memory import OverloadMemory, RememberedRefusal, remembered_s
from deployments.shared.wire import GenerateCall

MAX_REPLICAS_ASKED = 4
"""Replicas that may refuse a call before the refusal goes to its client."""
MOST_KINDS = 4096
"""Kinds of calls whose refusal is remembered at once. One ingress refuses fewer calls in the time that it remembers."""


class AskAnother:
    """One round of one call: from replica to replica, until one begins it."""

    def __init__(self, call: GenerateCall, overload: OverloadMemory[str]) -> None:
        """overload: the messages of the refusals of this ingress, by kind of call.

        Raises AllBusy where all replicas have just refused calls like this one.
        """
        known = None if call.resume else overload.find(_kind(call))
        if known is not None:
            raise AllBusy(known.answer, retry_after_s=known.retry_after_s, alike_s=known.alike_s)
        self._overload = overload
        self._call = call
        self._refusals: list[RetryLater] = []

    @property
    def call(self) -> GenerateCall:
        """The call as it goes out next; it names the replicas that have refused it, which placement avoids."""
        return self._call

    def after(self, error: AdaptrixError) -> AdaptrixError | None:
        """Decide what follows ``error``, which came in place of the first pieces: None to ask another replica, else the
        error for the client. Of several refusals that is the one with the shortest wait.
        """
        if not isinstance(error, RetryLater):
            return error
        self._refusals.append(error)
        replica, refused_by = error.replica_id, self._call.refused_by
        asked = refused_by if replica is None else (*refused_by, replica)
        is_last = replica in refused_by or all_have_refused(asked)
        if replica is None or is_last or len(self._refusals) == MAX_REPLICAS_ASKED:
            return self._final(is_last)
        self._call = replace(self._call, refused_by=asked)
        return None

    def _final(self, is_last: bool) -> RetryLater:
        shortest = min(self._refusals, key=lambda refusal: refusal.retry_after_s or 0.0)
        # A refusal because of a deadline says nothing about calls with another one.
        alike = is_last and all(refusal.code == Overloaded.code for refusal in self._refusals)
        return self._noted(shortest) if alike else shortest

    def _noted(self, refusal: RetryLater) -> RetryLater:
        """The refusal by every replica as the client gets it, remembered where it says something about other calls."""
        retry_after_s = refusal.retry_after_s
        if not isinstance(refusal, Overloaded) or retry_after_s is None or not self._call.is_alone:
            return refusal
        alike_s = remembered_s(retry_after_s, refusal.wait_s or 0.0)
        self._overload.note(_kind(self._call), RememberedRefusal(refusal.message, alike_s, retry_after_s))
        return AllBusy(refusal.message, retry_after_s=retry_after_s, alike_s=alike_s)


def _kind(call: GenerateCall) -> Hashable:
    """The kind of a call: tenant, adapters, priority and number of choices; its length makes little difference."""
    return call.salt, call.all_mixes, call.priority, call.sampling.get("n", 1)
