"""A replica whose process hangs leaves routing and is replaced, while the other one goes on answering."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.serving.cluster.test_cluster import processes, wait_for
from tests.serving.conftest import BASE_ID, launched
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

BODY = {"model": BASE_ID, "prompt": "one two three", "max_tokens": 4, "temperature": 0}
TEXT = "/v1/completions"


@pytest.fixture(scope="module")
def two_replicas(world: World) -> Iterator[Server]:
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-hung")},
        replicas={"num_replicas": 2, "cpus": 0.3},
        router={"enabled": False},
    )
    with launched(world, args, "hung") as server:
        yield server


def pids(server: Server) -> set[int]:
    return {process.pid for process in processes(server, "ray::ServeReplica:adaptrix:ModelReplica")}


def have_both_answered(server: Server) -> bool:
    """Ask once more, and see by the metrics whether either replica has generated something: both are in service."""
    assert httpx.post(f"{server.url}{TEXT}", json=BODY, timeout=60).status_code == 200
    metrics = httpx.get(f"{server.url}/metrics", timeout=30).text
    counts = re.findall(r"^adaptrix_replica_tokens_generated_total\{.*\} (\S+)$", metrics, re.MULTILINE)
    return len(counts) == 2 and min(map(float, counts)) > 0


def test_a_hung_replica_leaves_routing_and_is_replaced(two_replicas: Server) -> None:
    """Every request ends; those that the hung replica had accepted may fail, with an error that says so."""
    wait_for(lambda: have_both_answered(two_replicas))
    before = pids(two_replicas)
    hung = next(p for p in processes(two_replicas, "ModelReplica") if p.pid in before)
    statuses: list[int] = []
    began = time.monotonic()
    hung.suspend()
    with httpx.Client(base_url=two_replicas.url, timeout=120) as client:

        def answered() -> int:
            answer = client.post(TEXT, json=BODY)
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 503:
                assert answer.json()["error"]["code"] == "replica_lost"
            statuses.append(answer.status_code)
            return answer.status_code

        wait_for(lambda: bool(answered()) and hung.pid not in pids(two_replicas))
        gone_s = time.monotonic() - began
        wait_for(lambda: bool(answered()) and len(pids(two_replicas)) == 2)
        replaced_s = time.monotonic() - began
        assert {answered() for _ in range(20)} == {200}
    assert statuses.count(503) <= 2, "only what the hung replica had accepted is lost"
    logging.getLogger(__name__).info(
        "gone after %.1f s, replaced after %.1f s, %d of %d lost",
        gone_s,
        replaced_s,
        statuses.count(503),
        len(statuses),
    )
