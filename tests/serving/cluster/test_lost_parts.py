"""What a real cluster tells when parts of it die, where it listens, and that nothing of it stays."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.serving.cluster.test_cluster import processes, wait_for
from tests.serving.conftest import BASE_ID, launched
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

REPLICA = "ray::ServeReplica:adaptrix:ModelReplica"
INGRESS = "ray::ServeReplica:adaptrix:Ingress"
LONG = {"model": BASE_ID, "prompt": "one two three", "max_tokens": 1500, "ignore_eos": True, "stream": True}


@pytest.fixture(scope="module")
def cluster(world: World) -> Iterator[Server]:
    args = world.settings(adapters={"state_dir": str(world.root / "state-lost")}, router={"enabled": False})
    with launched(world, args, "lost") as server:
        yield server


def test_every_process_listens_on_loopback_alone(cluster: Server) -> None:
    family = {cluster.process.pid, *(child.pid for child in psutil.Process(cluster.process.pid).children(True))}
    open_to = {c.laddr.ip for c in psutil.net_connections("inet") if c.pid in family and c.status == psutil.CONN_LISTEN}
    assert open_to
    assert open_to <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_a_stream_whose_ingress_dies_ends_with_an_error_event(cluster: Server) -> None:
    [ingress] = processes(cluster, INGRESS)
    lines: list[str] = []
    with (
        httpx.Client(timeout=120) as client,
        client.stream("POST", f"{cluster.url}/v1/completions", json=LONG) as answer,
    ):
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if not lines:
                ingress.kill()
            if line:
                lines.append(line)
    assert lines[-1] == "data: [DONE]"
    assert json.loads(lines[-2].removeprefix("data: "))["error"]["code"] == "ingress_lost"
    wait_for(lambda: httpx.get(f"{cluster.url}/health", timeout=30).status_code == 200)


def test_health_tells_of_the_last_replicas_death_within_seconds(cluster: Server) -> None:
    wait_for(lambda: httpx.get(f"{cluster.url}/health?ready", timeout=30).status_code == 200)
    statuses: list[tuple[float, int]] = []
    stop = threading.Event()

    def watch() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                statuses.append((time.monotonic(), client.get(f"{cluster.url}/health?ready").status_code))

    watching = threading.Thread(target=watch)
    watching.start()
    [replica] = processes(cluster, REPLICA)
    killed = time.monotonic()
    replica.kill()
    try:
        wait_for(lambda: any(status == 503 for _, status in statuses), 15)
        assert httpx.get(f"{cluster.url}/health?live", timeout=30).status_code == 200
        wait_for(lambda: statuses[-1][1] == 200)
    finally:
        stop.set()
        watching.join()
    first = min(moment for moment, status in statuses if status == 503)
    assert first - killed < 3.0


def test_a_start_that_fails_leaves_no_process(world: World) -> None:
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-fails")},
        router={"enabled": False},
        engine={"cut": 10_000},
    )
    mark = f"ADAPTRIX_TEST_MARK={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    with (
        pytest.raises(AssertionError, match="the server ended"),
        launched(world, args, "fails", env={name: value}),
    ):
        pass
    wait_for(lambda: not marked(name, value), 30)


def marked(name: str, value: str) -> list[psutil.Process]:
    """Processes that were started with this in their environment, by whomever."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
