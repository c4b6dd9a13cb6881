"""Compositions on a real cluster whose replica is killed in mid-answer: the client notices nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.serving.cluster.test_cluster import load, processes, unload, wait_for
from tests.serving.compositions import HALVES, write
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

STEPS = {"sequential": ["math_reasoning", "code_generation"], "plan": ["What is 17 + 25?", "Write {0} as code."]}
ASK: dict[str, Any] = {
    "model": "composed",
    "stream": True,
    "messages": [{"role": "user", "content": "What is seventeen plus twenty five?"}],
    "max_tokens": 600,
    "ignore_eos": True,
    "temperature": 0.8,
    "seed": 7,
    "return_token_ids": True,
}

Said = dict[int, str]
"""What each step has said, by its number; 0 for an answer in one step."""


def said_in(document: dict[str, Any]) -> Said:
    """The new text of a streamed document, that of earlier steps included."""
    assert "error" not in document, document
    said: defaultdict[int, str] = defaultdict(str)
    for choice in document["choices"]:
        told = choice.get("adaptrix", {})
        said[told.get("step", 0)] += told.get("text", "") + (choice["delta"].get("content") or "")
    return said


def streamed(
    server: Server, step: int = 0, meanwhile: Callable[[], None] = lambda: None
) -> tuple[Said, list[int], str, str]:
    """The composition's steps, the answer's tokens, who answered, and the package that the headers name.

    meanwhile: called as soon as this step has said something.
    """
    whole: defaultdict[int, str] = defaultdict(str)
    token_ids: list[int] = []
    has_begun = False
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=ASK, timeout=300) as response:
        for line in response.iter_lines():
            if line.startswith("data: {"):
                document = json.loads(line.removeprefix("data: "))
                for number, text in said_in(document).items():
                    whole[number] += text
                token_ids += [token for choice in document["choices"] for token in choice.get("token_ids") or ()]
                if whole.get(step) and not has_begun:
                    has_begun = True
                    meanwhile()
        return dict(whole), token_ids, response.headers["x-adaptrix-adapter"], response.headers["x-adaptrix-digest"]


def continuations(server: Server) -> float:
    """Calls that went on on another replica."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return sum(float(n) for n in re.findall(r"^adaptrix_continuations_total(?:\{.*\})? (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("composition", "step"), [(HALVES, 0), (STEPS, 0), (STEPS, 1)], ids=["mix", "first step", "last step"]
)
def test_a_stream_by_a_composition_outlives_its_replica(
    server: Server, world: World, composition: dict[str, Any], step: int
) -> None:
    place = write(world, world.shipped, "composed", composition, world.uploads / "composed")
    loaded = load(server, place, "composed")
    assert loaded.status_code == 200, loaded.text
    gone: set[int] = set()

    def kill_replicas() -> None:
        for victim in processes(server, "ModelReplica"):  # whichever of them answers is among these
            victim.kill()  # SIGKILL
            gone.add(victim.pid)

    try:
        undisturbed, before = streamed(server), continuations(server)
        assert streamed(server, step, kill_replicas) == undisturbed
        assert continuations(server) > before, "the answer had ended before its replica was killed"
        assert len(undisturbed[0]) == len(composition.get("sequential", [HALVES]))
        assert len(undisturbed[1]) == ASK["max_tokens"]
        assert undisturbed[2] == "composed"
        wait_for(lambda: not gone & {process.pid for process in processes(server, "ModelReplica")})
    finally:
        unload(server, "composed")
        shutil.rmtree(place)
