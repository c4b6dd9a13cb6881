"""A real cluster that scales with its backlog: from one replica to two, to none, and back with the next request."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.serving.cluster.test_cluster import ASK, CHAT, LONG, ask, processes, wait_for
from tests.serving.conftest import BASE_ID, launched
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def scaling(world: World) -> Iterator[Server]:
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-scaling")},
        router={"enabled": False},
        replicas={
            "num_replicas": 1,
            "min_replicas": 0,
            "max_replicas": 2,
            "tokens_per_replica": 1000,
            "scale_up_delay_s": 0.5,
            "scale_down_delay_s": 1.0,
            "scale_to_zero_delay_s": 2.0,
            "cpus": 0.3,
        },
    )
    with launched(world, args, "scaling") as running:
        yield running


def replicas(server: Server) -> int:
    return len(processes(server, "ModelReplica"))


def reporting(server: Server) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{server.url}/v1/adapters", timeout=30).json()
    return document


def keep_busy(server: Server, enough: threading.Event) -> None:
    """Long answers, one after the other, until it is enough."""
    body = {"model": "math_reasoning", "messages": ASK, "max_tokens": LONG, "ignore_eos": True, "stream": True}
    while not enough.is_set():
        with httpx.stream("POST", f"{server.url}{CHAT}", json=body, timeout=120) as response:
            for _ in response.iter_lines():
                if enough.is_set():
                    return


def test_one_replica_two_none_and_one_again(scaling: Server) -> None:
    assert replicas(scaling) == 1
    enough = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        streams = [pool.submit(keep_busy, scaling, enough) for _ in range(3)]
        try:
            wait_for(lambda: len(reporting(scaling)["replicas"]) == 2)
        finally:
            enough.set()
        for stream in streams:
            stream.result()
    wait_for(lambda: replicas(scaling) == 0 and not reporting(scaling)["replicas"])
    assert httpx.get(f"{scaling.url}/health", timeout=30).status_code == 200
    models = httpx.get(f"{scaling.url}/v1/models", timeout=30).json()["data"]
    assert models[0]["id"] == BASE_ID
    assert replicas(scaling) == 0, "looking at it wakes nobody"
    assert ask(scaling, BASE_ID).status_code == 200
    assert len(reporting(scaling)["replicas"]) == 1
    places = {a["name"]: next(iter(a["residency"].values())) for a in reporting(scaling)["data"]}
    assert (places["math_reasoning"], places["code_generation"]) == ("device", "host"), "what was hot is there already"
