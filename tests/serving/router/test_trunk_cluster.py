"""`auto` on Ray where the base model itself routes, without an embedding model."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import httpx
import pytest
import yaml

from loadtest.ports import free_port
from tests.serving.servers import PROJECT, Server, started

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

PROBES_WITHIN_S = 300.0
QUESTIONS = {
    "math_reasoning": "What is 12 + 30 - 5?",
    "logical_reasoning": "John is married to Isabella. They have a child called Edward. What is Isabella to Edward?",
    "code_generation": "Write a Python function that returns the sum of a list of numbers.",
    "base": "Recommend a quiet seaside town for a short holiday.",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The shipped config, with the trunk and without an embedding model, once the probes are fitted."""
    directory, port = tmp_path_factory.mktemp("trunk"), free_port()
    config = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
    settings = config["applications"][0]["args"]
    settings.setdefault("adapters", {})["state_dir"] = str(directory / "state")
    settings.setdefault("router", {}).update(trunk=True, embedder=None)
    path = directory / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "deployments.launch", "--config", str(path), "--port", str(port)]
    with started(command, port, directory / "log", {"RAY_ADDRESS": "local"}) as running:
        deadline = time.monotonic() + PROBES_WITHIN_S
        while not votes(running, "What is 12 + 30 - 5?")["trunk"]["log_odds"]:
            assert time.monotonic() < deadline, "the probes are not fitted"
        yield running


def votes(server: Server, text: str) -> dict[str, dict[str, object]]:
    """What each signal says of a text, by its name."""
    body = {"messages": [{"role": "user", "content": text}]}
    answer = httpx.post(f"{server.url}/v1/route", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    return {vote["signal"]: vote for vote in answer.json()["votes"]}


@pytest.mark.parametrize("adapter", QUESTIONS)
def test_the_head_names_the_adapter_that_the_trunk_has_chosen(server: Server, adapter: str) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTIONS[adapter]}], "max_tokens": 4}
    answer = httpx.post(f"{server.url}/v1/chat/completions", json={**body, "stream": True}, timeout=300)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-adaptrix-adapter"] == adapter
    assert "x-adaptrix-fallback" not in answer.headers
    assert answer.text.rstrip().endswith("[DONE]")


@pytest.mark.parametrize("adapter", QUESTIONS)
def test_the_explanation_has_the_trunks_vote(server: Server, adapter: str) -> None:
    said = votes(server, QUESTIONS[adapter])["trunk"]
    assert said["weight"] == 1.0
    odds = said["log_odds"]
    assert isinstance(odds, dict)
    best = max(odds, key=lambda name: odds[name])
    assert best == adapter if adapter != "base" else odds[best] < 0
