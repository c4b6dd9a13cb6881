"""A composition on a real cluster whose replica is killed in mid-answer: the client notices nothing."""

from __future__ import annotations

import json
import shutil
import threading
from typing import Any

import httpx
import pytest

from tests.serving.cluster.test_cluster import load, processes, rows_running, unload, wait_for
from tests.serving.compositions import HALVES, write
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ASK = {
    "model": "mix",
    "messages": [{"role": "user", "content": "What is seventeen plus twenty five?"}],
    "max_tokens": 600,
    "ignore_eos": True,
    "temperature": 0.8,
    "seed": 7,
}


def streamed(server: Server, began: threading.Event) -> tuple[str, str, str]:
    """The whole text of an answer by the composition, who answered, and the package that the headers name."""
    text = ""
    body: dict[str, Any] = {**ASK, "stream": True}
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=300) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                document = json.loads(line.removeprefix("data: "))
                assert "error" not in document, document
                text += "".join(choice["delta"].get("content", "") for choice in document["choices"])
                began.set()
        return text, response.headers["x-adaptrix-adapter"], response.headers["x-adaptrix-digest"]


def test_a_stream_by_a_composition_outlives_its_replica(server: Server, world: World) -> None:
    place = write(world, world.shipped, "mix", HALVES, world.uploads / "mix")
    loaded = load(server, place, "mix")
    assert loaded.status_code == 200, loaded.text
    try:
        undisturbed = streamed(server, threading.Event())
        began, told = threading.Event(), []
        reader = threading.Thread(target=lambda: told.append(streamed(server, began)))
        reader.start()
        assert began.wait(120)
        wait_for(lambda: rows_running(server) >= 1)
        victims = processes(server, "ModelReplica")
        for victim in victims:  # whichever of them answers is among these
            victim.kill()
        reader.join(300)
        assert told == [undisturbed]
        assert undisturbed[1] == "mix"
        gone = {victim.pid for victim in victims}
        wait_for(lambda: not gone & {process.pid for process in processes(server, "ModelReplica")})
    finally:
        unload(server, "mix")
        shutil.rmtree(place)
