"""The request router of the model deployment: a request goes where its adapters and its prompt's beginning are.

The decision is `rule.py`'s. Runs inside every process that has a handle to the model, so each ingress has its own view:
all follow what replicas report, and each knows only its own requests. The request is read from the call's argument;
`multiplexed_model_id` and the session id, which clients could set by headers, are not looked at.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from deployments.placement.known_replicas import residency_on, saw, willing
from deployments.placement.prompt_prefixes import prefix_names
from deployments.placement.rule import Placement, Seen, Wish
from deployments.shared.wire import GenerateCall


class AffinityRouter(RequestRouter):  # type: ignore[misc]  # Ray is taken without its types
    """Ray Serve's extension point. One event loop."""

    queue_len_response_deadline_s = 0.5
    """Seconds within which a replica that was idle has to report its queue length; then another one is taken."""

    def initialize_state(self, **kwargs: Any) -> None:
        """Called once by Ray Serve; there is nothing to configure."""
        self._placement: Placement[ReplicaID] = Placement()
        self._in_flight: Counter[ReplicaID] = Counter()
        """Requests of this process that a replica has accepted and not ended."""
        self._unsent: dict[asyncio.Future[Any], ReplicaID] = {}
        """Choices that Ray has not acted on yet; in a burst, many are made before the first is sent."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """The chosen replica, then the others that have not refused the call: that one may be full or out of reach."""
        if pending_request is None or not candidate_replicas:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True  # else Ray retries at once when all replicas are full
        saw(candidate_replicas)
        candidate_replicas = willing(candidate_replicas, pending_request)
        available = self.select_available_replicas(candidate_replicas) or candidate_replicas
        wish = wish_of(pending_request)
        unsent = Counter(self._unsent.values())
        chosen = self._placement.choose(
            wish, {replica.replica_id: self._seen(replica, unsent[replica.replica_id]) for replica in available}
        )
        self._placement.sent(wish, chosen)
        self._count_until_sent(pending_request.future, chosen)
        first = [replica for replica in candidate_replicas if replica.replica_id == chosen]
        others = [replica for replica in candidate_replicas if replica.replica_id != chosen]
        return [first, others] if others else [first]

    def on_request_routed(self, pending_request: PendingRequest, replica_id: ReplicaID, result: Any) -> None:
        """Note that a replica, the chosen one or another, has accepted the request."""
        self._placement.sent(wish_of(pending_request), replica_id)
        self._in_flight[replica_id] += 1
        loop = asyncio.get_running_loop()
        result.add_done_callback(lambda _: loop.call_soon_threadsafe(self._ended, replica_id))

    def _seen(self, replica: RunningReplica, unsent: int) -> Seen:
        # Ray's count includes other processes' requests, but is dropped where none begins or ends for 10 s.
        known = self.replica_queue_len_cache.get(replica.replica_id) or 0
        load = max(known, self._in_flight[replica.replica_id]) + unsent
        return Seen(load, residency_on(replica.replica_id.unique_id))

    def _count_until_sent(self, choice: asyncio.Future[Any], replica_id: ReplicaID) -> None:
        """Count a choice until Ray counts it: when it sends the request, right before the callbacks of its future."""
        if choice not in self._unsent:
            choice.add_done_callback(self._unsent.pop)
        self._unsent[choice] = replica_id

    def _ended(self, replica_id: ReplicaID) -> None:
        self._in_flight[replica_id] -= 1
        if not self._in_flight[replica_id]:
            del self._in_flight[replica_id]


def wish_of(pending_request: PendingRequest) -> Wish:
    """Adapters and prefixes of the request, from its argument; an empty wish where it is no generation request."""
    call = pending_request.args[0] if pending_request.args else None
    if not isinstance(call, GenerateCall):
        return Wish()
    adapters = {term.adapter for mix in call.all_mixes for term in mix}
    open_to = () if call.deferred is None else call.deferred.candidates.values()
    candidates = {term.adapter for mix in open_to for term in mix} - adapters
    return Wish(tuple(sorted(adapters)), prefix_names(call), tuple(sorted(candidates)))
