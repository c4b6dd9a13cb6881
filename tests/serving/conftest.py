"""Fixtures for serving tests: one small world per session, one server in this process, one real cluster.

The in-process server joins the real parts by plain calls. The cluster is `deployments.launch` in a process of its own,
as `make serve` starts it; only integration tests ask for it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import openai
import pytest
import pytest_asyncio
import yaml

from adaptrix_core.routing.embedder import TextEmbedder
from loadtest.ports import free_port
from tests.serving.collector import Collector, collecting
from tests.serving.inprocess import LocalStore, running
from tests.serving.servers import Server, started
from tests.serving.tiny import World, make_world

BASE_ID = "tiny-llama"


@dataclass(frozen=True)
class Local:
    """The in-process server."""

    world: World
    http: httpx.AsyncClient
    store: LocalStore
    openai: openai.AsyncOpenAI


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def embedder() -> TextEmbedder:
    return TextEmbedder()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local(world: World, embedder: TextEmbedder) -> AsyncIterator[Local]:
    args = world.settings(adapters={"state_dir": str(world.root / "state-local")})
    async with running(args, embedder) as (http, store):
        client = openai.AsyncOpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=http, max_retries=0)
        yield Local(world, http, store, client)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def routed(world: World, embedder: TextEmbedder) -> AsyncIterator[Local]:
    """Where the router decides alone: what a base model of random weights reads in a question means nothing."""
    args = world.settings(adapters={"state_dir": str(world.root / "state-routed")}, router={"trunk": False})
    async with running(args, embedder) as (http, store):
        client = openai.AsyncOpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=http, max_retries=0)
        yield Local(world, http, store, client)


@contextmanager
def launched(world: World, args: dict[str, object], name: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """`python -m deployments.launch` on a free port; ends with one interrupt, as Ctrl-C would."""
    port = free_port()
    config = world.root / f"{name}.yaml"
    config.write_text(yaml.safe_dump(serve_config(args)))
    command = [sys.executable, "-m", "deployments.launch", "--config", str(config), "--port", str(port)]
    with started(command, port, world.root / f"{name}.log", env) as server:
        yield server


def serve_config(args: dict[str, object]) -> dict[str, object]:
    """A Serve config file around ``args``."""
    application = {"name": "adaptrix", "route_prefix": "/", "import_path": "deployments.app:build", "args": args}
    return {"proxy_location": "HeadOnly", "http_options": {"host": "127.0.0.1"}, "applications": [application]}


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Takes the traces of the session's cluster."""
    with collecting() as made:
        yield made


@pytest.fixture(scope="session")
def server(world: World, collector: Collector) -> Iterator[Server]:
    """The session's cluster: tiny base, three shipped adapters, two replicas, router; it logs and traces."""
    log = str(world.root / "cluster-log.jsonl")
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-cluster")},
        replicas={"num_replicas": 2, "cpus": 0.3},
        observe={"logs": "json", "log_file": log, "otlp_endpoint": collector.url},
        audit={"dir": str(world.root / "audit"), "key_file": str(world.root / "audit.key"), "ship_to_log": True},
    )
    with launched(world, args, "cluster") as running_server:
        yield running_server


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=120) as made:
        yield made


async def eventually(condition: object, timeout_s: float = 60.0) -> None:
    """Wait until ``condition()`` (a plain or async function) is true."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        outcome = condition()  # type: ignore[operator]
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        if outcome:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"still not so after {timeout_s} s: {condition}")
