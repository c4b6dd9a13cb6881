"""Batches on a real Ray: one goes on after the death of whoever works on it, and after a restart of the server."""

from __future__ import annotations

import os
import signal
import time

import httpx
import openai
import psutil
import pytest

from tests.serving.batches.lines import CHAT, OVER, chat_line
from tests.serving.conftest import launched
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

LINES = 120


def client_of(server: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=8, timeout=120)


def counts(client: openai.OpenAI, batch_id: str) -> tuple[str, int]:
    batch = client.batches.retrieve(batch_id)
    return batch.status, batch.request_counts.completed


def until_answered(client: openai.OpenAI, batch_id: str, number: int, timeout_s: float = 200.0) -> None:
    deadline = time.monotonic() + timeout_s
    while counts(client, batch_id)[1] < number:
        assert time.monotonic() < deadline, counts(client, batch_id)
        time.sleep(0.05)


def kill_worker(server: Server) -> None:
    """Kill the process that keeps objects and works on batches."""
    processes = psutil.Process(server.process.pid).children(recursive=True)
    (keeper,) = [process for process in processes if ":Background" in process.name()]
    os.kill(keeper.pid, signal.SIGKILL)


def test_a_batch_survives_its_worker_and_its_server(world: World) -> None:
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-batches")},
        router={"enabled": False},
        batches={"rows_at_once": 2},
    )
    lines = [chat_line(f"q{number}", f"What is {number} + 1?", max_tokens=24) for number in range(LINES)]
    with launched(world, args, "batches-1") as server, client_of(server) as client:
        file = client.files.create(file=("lines.jsonl", "\n".join(lines).encode()), purpose="batch")
        made = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        until_answered(client, made.id, 10)
        kill_worker(server)
        until_answered(client, made.id, 40)
        assert httpx.get(f"{server.url}/health", timeout=60).status_code == 200
        assert counts(client, made.id)[0] == "in_progress"
    with launched(world, args, "batches-2") as server, client_of(server) as client:
        assert counts(client, made.id)[1] >= 40
        deadline = time.monotonic() + 200
        while counts(client, made.id)[0] not in OVER:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        batch = client.batches.retrieve(made.id)
        assert (batch.status, batch.request_counts.completed, batch.error_file_id) == ("completed", LINES, None)
        answers = client.files.content(str(batch.output_file_id)).text.splitlines()
        assert [f'"custom_id": "q{number}"' in answer for number, answer in enumerate(answers)] == [True] * LINES
