"""Copies of a served adapter on a real cluster whose store and replicas are killed: nothing stored stands for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from tests.serving.cluster.test_cluster import ask, load, processes, unload, wait_for
from tests.serving.servers import Server, wait_until_ready
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SERVED = "math_reasoning"


def answer(server: Server, model: str) -> object:
    given = ask(server, model)
    document = given.json()
    return document["choices"][0]["message"]["content"] if given.status_code == 200 else document["error"]["code"]


def kill_everything_but_http(server: Server) -> None:
    """The store and every replica of the model, in one moment."""
    victims = processes(server, "ray::AdapterStore") + processes(server, "ModelReplica")
    assert len(victims) >= 2
    for process in victims:
        process.kill()
    gone = {process.pid for process in victims}

    def are_replaced() -> bool:
        alive = processes(server, "ray::AdapterStore") + processes(server, "ModelReplica")
        return len(alive) >= len(victims) and not gone & {process.pid for process in alive}

    wait_for(are_replaced)
    wait_until_ready(server)


def test_no_copy_stands_for_a_shipped_adapter_after_store_and_replicas_died(server: Server, world: World) -> None:
    unsigned = world.uploads / "unsigned-copy"
    signed = world.uploads / "signed-copy"
    for directory in (unsigned, signed):
        shutil.copytree(world.shipped / SERVED, directory)
    (unsigned / SIGNATURE_FILE).unlink()
    expected = answer(server, SERVED)

    def everything_is_in_its_place() -> None:
        wait_for(lambda: answer(server, SERVED) == expected)
        wait_for(lambda: answer(server, "sums") == expected)
        refused = load(server, unsigned, "mcopy")
        assert (refused.status_code, refused.json()["error"]["code"]) == (422, "signature_missing")
        assert answer(server, "mcopy") == "model_not_found"

    assert load(server, signed, "sums").status_code == 200
    everything_is_in_its_place()
    kill_everything_but_http(server)
    everything_is_in_its_place()
    taken = load(server, signed, "code_generation")
    assert (taken.status_code, taken.json()["error"]["code"]) == (409, "name_taken")
    assert unload(server, "sums").status_code == 200
    kill_everything_but_http(server)
    wait_for(lambda: answer(server, SERVED) == expected)
    assert answer(server, "sums") == "model_not_found"
    assert not any(path.is_dir() for path in _packages(world).iterdir())


def _packages(world: World) -> Path:
    return world.root / "state-cluster" / "packages"
