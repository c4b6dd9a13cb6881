"""A call that one replica cannot take now goes to another one, a few times; only then its client is told.

A full replica says nothing about the others. What has begun is never begun again. Knows no Ray.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace

from adaptrix_core.errors import Overloaded, RetryLater
from deployments.generation.generation import Batches, Replicas
from deployments.generation.overload_memory import RecentRefusals
from deployments.placement.known_replicas import all_have_refused
from deployments.shared.errors import as_core_error
from deployments.shared.wire import GenerateCall

MAX_REPLICAS_ASKED = 4


class SecondChoice:
    """The model replicas; a call names those that have refused it, and who routes it avoids them."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._recent = RecentRefusals()

    async def generate(self, call: GenerateCall) -> Batches:
        """What each engine step produced. Raises the refusal that asks for the shortest wait."""
        self._recent.check(call)
        refusals: list[RetryLater] = []
        while True:
            begun = False
            try:
                async with aclosing(self._replicas.generate(call)) as batches:
                    async for pieces in batches:
                        begun = True
                        yield pieces
                return
            except Exception as raised:
                error = as_core_error(raised)
                if begun or not isinstance(error, RetryLater):
                    raise
            refusals.append(error)
            replica = error.replica_id
            asked = call.refused_by if replica is None else (*call.refused_by, replica)
            is_last = replica in call.refused_by or all_have_refused(asked)
            if replica is None or is_last or len(refusals) == MAX_REPLICAS_ASKED:
                shortest = min(refusals, key=lambda refusal: refusal.retry_after_s or 0.0)
                # One for its deadline says nothing of calls that have another one.
                alike = is_last and all(refusal.code == Overloaded.code for refusal in refusals)
                raise self._recent.note(call, shortest) if alike else shortest
            call = replace(call, refused_by=asked)
