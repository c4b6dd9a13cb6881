"""A real server whose replica and tracker are killed: usage is what the answers said, to the last before its end."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from adaptrix_core.observe.tracker.questions import UsageQuestion, ask
from tests.serving.cluster.test_cluster import processes, wait_for
from tests.serving.conftest import BASE_ID, launched
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

REPLICA = "ray::ServeReplica:adaptrix:ModelReplica"
TRACKER = "ray::UsageTracker"
BODY = {"prompt": "one two three", "max_tokens": 60, "ignore_eos": True, "stream": True}


def asked(url: str, model: str) -> Counter[str]:
    """A streamed request's own usage."""
    body = {**BODY, "model": model, "stream_options": {"include_usage": True}}
    answer = httpx.post(f"{url}/v1/completions", json=body, timeout=300)
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    usage: dict[str, Any] = json.loads(events[-1])["usage"]
    return Counter(requests=1, **{name: usage[name] for name in ("prompt_tokens", "completion_tokens")})


def test_usage_is_what_the_answers_said_through_kills(world: World, tmp_path: Path) -> None:
    file = tmp_path / "usage.db"
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-tracked")},
        router={"enabled": False},
        replicas={"num_replicas": 2, "cpus": 0.3},
        tracker={"file": str(file)},
    )
    models = [BASE_ID, "math_reasoning", "code_generation"] * 8
    with launched(world, args, "tracked") as server, ThreadPoolExecutor(6) as pool:
        wait_for(lambda: len(processes(server, REPLICA)) == 2)
        said = asked(server.url, BASE_ID)
        wait_for(lambda: len(processes(server, TRACKER)) == 1)
        running = [pool.submit(asked, server.url, model) for model in models]
        processes(server, REPLICA)[0].kill()
        processes(server, TRACKER)[0].kill()
        said = sum((one.result() for one in running), said)
        said += asked(server.url, "math_reasoning")  # just before the end
    (row,) = ask(file, UsageQuestion(0.0)).rows
    told = {name: row.counts[name] for name in ("requests", "prompt_tokens", "completion_tokens")}
    assert told == dict(said)
    assert row.counts["answered"] == row.counts["requests"]
