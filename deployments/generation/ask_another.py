"""Step 2 of the pipeline: a call that one replica refuses goes to another, a few times, before its client gets the
error.

That one replica is full says nothing about the others. Only calls that no replica has begun are repeated. Knows no Ray.
"""

from __future__ import annotations

from dataclasses import replace

from adaptrix_core.errors import AdaptrixError, Overloaded, RetryLater
from deployments.generation.overload_memory import OverloadMemory
from deployments.placement.known_replicas import all_have_refused
from deployments.shared.wire import GenerateCall

MAX_REPLICAS_ASKED = 4
"""Replicas that may refuse a call before the refusal goes to its client."""


class AskAnother:
    """One round of one call: from replica to replica, until one begins it."""

    def __init__(self, call: GenerateCall, overload: OverloadMemory) -> None:
        """Raises AllBusy where all replicas have just refused calls like this one."""
        overload.check(call)
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
        return self._overload.note(self._call, shortest) if alike else shortest
