"""Placement on a real cluster of two replicas: warm first, spread under load, conversations return to their keys."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.serving.cluster.test_cluster import CHAT, wait_for
from tests.serving.conftest import BASE_ID, launched
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def pair(world: World) -> Iterator[Server]:
    """Two replicas, each with room for one of the three adapters on its device."""
    args = world.settings(
        adapters={"state_dir": str(world.root / "state-placed")},
        router={"enabled": False},
        replicas={"num_replicas": 2, "cpus": 0.3},
    )
    with launched(world, args, "placed") as running:
        yield running


def ask(server: Server, model: str, *contents: str, **fields: Any) -> str:
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": content} for number, content in enumerate(contents)]
    body = {"model": model, "messages": messages, "max_tokens": 4, "temperature": 0, "ignore_eos": True, **fields}
    answer = httpx.post(f"{server.url}{CHAT}", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def by_replica(server: Server, name: str) -> Counter[str]:
    """A number of the engines, by replica, as they last reported it."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    pattern = rf'^adaptrix_replica_{name}{{replica="(.+)"}} (\S+)$'
    return Counter({replica: int(float(value)) for replica, value in re.findall(pattern, text, re.MULTILINE)})


def settled(server: Server, name: str, total: int) -> Counter[str]:
    """`by_replica`, once all replicas together have reported ``total``."""
    wait_for(lambda: by_replica(server, name).total() >= total)
    return by_replica(server, name)


def test_one_adapters_requests_stay_together_and_spread_under_load(pair: Server) -> None:
    name = "tokens_generated_total"
    before = by_replica(pair, name)
    for number in range(10):
        ask(pair, "math_reasoning", f"question {number}")
    alone = settled(pair, name, before.total() + 40) - before
    assert sorted(alone.values()) == [40]
    before += alone
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda number: ask(pair, "math_reasoning", str(number), max_tokens=100), range(32)))
    together = settled(pair, name, before.total() + 3200) - before
    assert len(together) == 2, "more than eight at once are too many for one replica"
    before += together
    for number in range(10):
        ask(pair, "math_reasoning", f"question {number}")
    assert sorted((settled(pair, name, before.total() + 40) - before).values()) == [40], "and back"


def test_prompts_of_one_request_are_placed_each_by_itself(pair: Server) -> None:
    body = {"model": "code_generation", "prompt": [f"prompt {number}" for number in range(20)], "max_tokens": 2}
    answer = httpx.post(f"{pair.url}/v1/completions", json=body, timeout=120)
    assert len(answer.json()["choices"]) == 20


def test_the_next_turn_finds_its_keys_and_values(pair: Server) -> None:
    """Conversations that began on both replicas: each next turn takes over what the one before it has computed."""
    name = "layer_tokens_taken_over_total"
    talks = [[f"{number}: {'What is seventeen plus twenty five? ' * 12}"] for number in range(24)]
    with ThreadPoolExecutor(len(talks)) as pool:
        before = by_replica(pair, "tokens_generated_total")
        answers = list(pool.map(lambda said: ask(pair, BASE_ID, *said, max_tokens=40), talks))
    assert len(settled(pair, "tokens_generated_total", before.total() + 960) - before) == 2
    for said, answer in zip(talks[:6], answers[:6], strict=True):
        before = by_replica(pair, name)
        ask(pair, BASE_ID, *said, answer, "And then?")
        gained = settled(pair, name, before.total() + 1) - before
        assert gained.total() > 4 * 80, "all of the turn before, in four layers"
