"""The request router: which replica Ray Serve is told to try, from what Ray knows and what requests say."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from ray.serve._private.common import DeploymentHandleSource, DeploymentID, RequestMetadata
from ray.serve.request_router import PendingRequest, ReplicaID

from adaptrix_core.injection.mix import Term
from deployments.placement import known_replicas
from deployments.placement.request_router import AffinityRouter
from deployments.shared.residency import ClusterResidency
from deployments.shared.wire import GenerateCall

DEPLOYMENT = DeploymentID("ModelReplica", "adaptrix")
A, B = "a" * 64, "b" * 64


class Replica:
    """What Ray's wrapper of a running replica shows a router."""

    def __init__(self, name: str, *device: str) -> None:
        self.replica_id = ReplicaID(name, DEPLOYMENT)
        self.max_ongoing_requests = 100
        self.device = device

    async def get_queue_len(self, *, deadline_s: float) -> int:
        return 0


class Result:
    """What Ray hands a router with a request that was accepted."""

    def __init__(self) -> None:
        self.ended: list[Callable[[object], None]] = []

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        self.ended.append(callback)


async def router_over(*replicas: Replica) -> AffinityRouter:
    router = AffinityRouter(DEPLOYMENT, DeploymentHandleSource.REPLICA, use_replica_queue_len_cache=True)
    router.initialize_state()
    known_replicas.told(ClusterResidency({r.replica_id.unique_id: dict.fromkeys(r.device, "device") for r in replicas}))
    router.update_replicas(list(replicas))
    for replica in replicas:
        router.on_new_queue_len_info(replica.replica_id, 0)
    return router


def pending(*adapters: str, number: int = 0, **metadata: str) -> PendingRequest:
    mixes = (tuple(Term(adapter) for adapter in adapters),)
    call = GenerateCall(f"r{number}", "hello", mixes, {}, b"salt")
    return PendingRequest([call], {}, RequestMetadata(f"r{number}", f"i{number}", **metadata))


async def first_choice(router: AffinityRouter, request: PendingRequest) -> str:
    ranks = await router.choose_replicas(list(router.curr_replicas.values()), request)
    assert sum(map(len, ranks)) == len(router.curr_replicas), "all others stay in reach"
    assert request.routing_context.should_backoff, "or Ray asks again without a pause while all are full"
    (chosen,) = ranks[0]
    return str(chosen.replica_id.unique_id)


async def test_a_request_goes_where_its_adapter_is() -> None:
    router = await router_over(Replica("x", A), Replica("y", B))
    assert [await first_choice(router, pending(wanted)) for wanted in (A, B, A)] == ["x", "y", "x"]


async def test_what_the_store_says_of_residency_counts_from_then_on() -> None:
    router = await router_over(Replica("x", A), Replica("y"))
    assert await first_choice(router, pending(A)) == "x"
    router._placement._sent.clear()
    known_replicas.told(ClusterResidency({"x": {}, "y": {A: "host"}}))
    assert await first_choice(router, pending(A)) == "y"


@pytest.mark.parametrize("header", ["multiplexed_model_id", "session_id"])
async def test_what_clients_can_set_by_headers_changes_nothing(header: str) -> None:
    router = await router_over(Replica("x", A), Replica("y", B))
    for spoofed in (B, "y"):
        assert await first_choice(router, pending(A, **{header: spoofed})) == "x"


async def test_a_burst_is_counted_before_any_of_it_is_sent() -> None:
    router = await router_over(Replica("x", A), Replica("y"))
    requests = [pending(A, number=number) for number in range(24)]
    counts = Counter([await first_choice(router, request) for request in requests])
    assert counts["x"] + counts["y"] == 24
    assert 8 <= counts["y"] <= 12
    for request in requests:
        request.future.set_result(None)
    await asyncio.sleep(0)
    assert router._unsent == {}


async def test_requests_that_were_accepted_count_until_they_end_however_long_that_takes() -> None:
    x, y = Replica("x", A), Replica("y")
    router = await router_over(x, y)
    results = [Result() for _ in range(9)]
    for number, result in enumerate(results):
        router.on_request_routed(pending(A, number=number), x.replica_id, result)
    assert await first_choice(router, pending(A)) == "y", "though Ray's own count of long silent replicas is forgotten"
    for result in results:
        for ended in result.ended:
            ended(None)
    await asyncio.sleep(0)
    assert not router._in_flight


async def test_a_request_that_another_replica_took_is_remembered_there() -> None:
    x, y = Replica("x"), Replica("y")
    router = await router_over(x, y)
    for other in (x, y):
        router._placement._sent.clear()
        router.on_request_routed(pending(B), other.replica_id, Result())
        assert await first_choice(router, pending(B)) == other.replica_id.unique_id


async def test_a_full_replica_is_passed_over() -> None:
    x, y = Replica("x", A), Replica("y")
    router = await router_over(x, y)
    router.on_new_queue_len_info(x.replica_id, 100)
    router.on_new_queue_len_info(y.replica_id, 99)
    assert await first_choice(router, pending(A)) == "y"
