"""A real cluster of several nodes loses replicas and a node, and is updated, under load: no client notices."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.serving.conftest import BASE_ID
from tests.serving.nodes import Nodes, family, kill_node, nodes
from tests.serving.tiny import World

logger = logging.getLogger(__name__)
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

REPLICAS = 3
STREAMS = 200
AT_ONCE = 40
NODES = 2
PAUSE_S = 1.5
"""Between two kills, so that streams which lost one replica get going on the one that is lost next."""
QUESTIONS = [f"What is {a} + {b}?" for a, b in ((17, 25), (3, 4), (90, 12), (5, 66), (31, 8))]
MODELS = (BASE_ID, "math_reasoning", "code_generation", "math_reasoning*0.5+logical_reasoning*0.5")


@dataclass(frozen=True)
class Streamed:
    """What a client got."""

    text: str
    error: str | None
    longest_gap_s: float


def settings(world: World, **engine: object) -> dict[str, Any]:
    return world.settings(
        adapters={"state_dir": str(world.root / "state-faults")},
        replicas={"num_replicas": REPLICAS, "cpus": 0.6, "drain_timeout_s": 1.0},
        router={"enabled": False},
        engine={"max_rows": 16, "max_queue": 256, **engine},
        security={"load_roots": [str(world.uploads)]},
    )


@pytest.fixture(scope="module")
def cluster(world: World) -> Iterator[Nodes]:
    directory = world.root / "nodes"
    directory.mkdir()
    with nodes(directory, NODES) as running:
        running.deploy(settings(world))
        yield running


def bodies(count: int, max_tokens: int = 64) -> list[dict[str, Any]]:
    """Requests of several kinds, half of them greedy, half sampled with a seed."""
    kinds = [
        {
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": max_tokens,
            "ignore_eos": True,
            "temperature": temperature,
            "seed": 7,
        }
        for temperature in (0.0, 0.8)
        for question in QUESTIONS
        for model in MODELS
    ]
    return [kinds[number % len(kinds)] for number in range(count)]


async def stream(http: httpx.AsyncClient, url: str, body: dict[str, Any]) -> Streamed:
    text, error, gap, last = "", None, 0.0, time.monotonic()
    async with http.stream("POST", f"{url}/v1/chat/completions", json={**body, "stream": True}) as response:
        if response.status_code != 200:
            return Streamed("", (await response.aread()).decode(), 0.0)
        lines = []
        async for line in response.aiter_lines():
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
            if line.startswith("data: {"):
                document = json.loads(line.removeprefix("data: "))
                error = error or document.get("error", {}).get("message")
                text += "".join(choice["delta"].get("content", "") for choice in document.get("choices", ()))
            if line:
                lines.append(line)
    return Streamed(text, error if lines[-1:] == ["data: [DONE]"] else "cut off", gap)


async def streams(url: str, asked: Sequence[dict[str, Any]], meanwhile: Callable[[], None]) -> list[Streamed]:
    """All of these requests, some at once, while ``meanwhile`` runs in a thread of its own."""
    places = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=300, limits=httpx.Limits(max_connections=None)) as http:

        async def one(body: dict[str, Any]) -> Streamed:
            async with places:
                return await stream(http, url, body)

        happening = asyncio.create_task(asyncio.to_thread(meanwhile))
        answers = await asyncio.gather(*(one(body) for body in asked))
        await happening
    return answers


def undisturbed(url: str, asked: Sequence[dict[str, Any]]) -> list[str]:
    """The texts of these requests while nothing happens; equal requests are sent once."""
    known: dict[str, str] = {}

    def ask(body: dict[str, Any]) -> None:
        answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120)
        assert answer.status_code == 200, answer.text
        known[json.dumps(body)] = answer.json()["choices"][0]["message"]["content"]

    different = {json.dumps(body): body for body in asked}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, different.values()))
    return [known[json.dumps(body)] for body in asked]


def assert_nobody_noticed(answers: Sequence[Streamed], texts: Sequence[str]) -> None:
    assert [answer.error for answer in answers if answer.error is not None] == []
    assert [answer.text for answer in answers] == list(texts)
    logger.info(f"longest gap {max(answer.longest_gap_s for answer in answers):.2f} s over {len(answers)} streams")


def continuations(url: str) -> float:
    found = re.search(r"^adaptrix_continuations_total (\S+)$", httpx.get(f"{url}/metrics", timeout=30).text, re.M)
    assert found is not None
    return float(found[1])


def wait_for(condition: Callable[[], bool], timeout_s: float = 180.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {timeout_s} s"
        time.sleep(0.05)


def rows_running(url: str) -> list[float]:
    """Of each replica, as it last reported."""
    text = httpx.get(f"{url}/metrics", timeout=30).text
    return [float(n) for n in re.findall(r"^adaptrix_replica_rows_running\{.*\} (\S+)$", text, re.MULTILINE)]


def test_two_hundred_streams_survive_three_killed_replicas(cluster: Nodes) -> None:
    asked = bodies(STREAMS)
    texts, before = undisturbed(cluster.url, asked), continuations(cluster.url)
    victims = cluster.replicas()  # all: those that come in their place serve the last streams
    assert len(victims) == 3

    def kill_three() -> None:
        for victim in victims:
            wait_for(lambda: sum(rows_running(cluster.url)) > 0)
            victim.kill()
            time.sleep(PAUSE_S)

    began = time.monotonic()
    answers = asyncio.run(streams(cluster.url, asked, kill_three))
    logger.info(f"{STREAMS} streams in {time.monotonic() - began:.1f} s")
    assert_nobody_noticed(answers, texts)
    logger.info(f"{continuations(cluster.url) - before:.0f} calls went on elsewhere")
    assert continuations(cluster.url) > before


def test_a_lost_node_is_not_noticed(cluster: Nodes) -> None:
    wait_for(lambda: len(cluster.replicas()) == REPLICAS)
    asked = bodies(2 * AT_ONCE, 300)
    texts, before = undisturbed(cluster.url, asked), continuations(cluster.url)

    def lose_a_node() -> None:
        wait_for(lambda: sum(rows > 0 for rows in rows_running(cluster.url)) >= REPLICAS)  # those of the victim, too
        holding = {p.pid for p in cluster.replicas()}
        others = [node for node in cluster.processes[1:] if holding & {p.pid for p in family(node)}]
        kill_node(others[0])

    answers = asyncio.run(streams(cluster.url, asked, lose_a_node))
    cluster.add()
    assert_nobody_noticed(answers, texts)
    assert continuations(cluster.url) > before
    wait_for(lambda: len(cluster.replicas()) == REPLICAS)


def test_a_rolling_update_of_the_config_and_of_an_adapter_fails_no_request(cluster: Nodes, world: World) -> None:
    asked = bodies(4, 600)
    texts = undisturbed(cluster.url, asked)
    old_replicas = {p.pid for p in cluster.replicas()}
    stop = threading.Event()

    def packed(version: str, seed: int) -> bytes:
        directory = world.write_adapter(world.uploads / version, "rolled", seed, version=version)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.add(directory, arcname=directory.name)
        return buffer.getvalue()

    def publish(version: str, seed: int) -> str:
        answer = httpx.post(f"{cluster.url}/v1/adapters", content=packed(version, seed), timeout=120)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["digest"])

    def traffic() -> list[tuple[int, str]]:
        seen = []
        body = {**bodies(1, 4)[0], "model": "rolled"}
        while not stop.is_set():
            answer = httpx.post(f"{cluster.url}/v1/chat/completions", json=body, timeout=120)
            seen.append((answer.status_code, answer.headers.get("x-adaptrix-digest", answer.text)))
        return seen

    versions = [publish("1.0.0", 71)]

    def update() -> None:
        try:
            versions.append(publish("2.0.0", 72))
            cluster.deploy(settings(world, max_rows=12))
            wait_for(
                lambda: len(cluster.replicas()) == REPLICAS and not old_replicas & {p.pid for p in cluster.replicas()}
            )
        finally:
            stop.set()

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(traffic) for _ in range(2)]
        answers = asyncio.run(streams(cluster.url, asked, update))
        seen = [answer for future in running for answer in future.result()]
    logger.info(f"{len(seen)} requests meanwhile")
    assert_nobody_noticed(answers, texts)
    assert {status for status, _ in seen} == {200}
    assert {digest for _, digest in seen} == set(versions)
    assert seen[-1][1] == versions[1]
