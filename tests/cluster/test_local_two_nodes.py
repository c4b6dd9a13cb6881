"""The local two-node script starts both nodes, gets an answer, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
import yaml

from cluster.local_two_nodes import two_replicas
from loadtest.ports import free_port
from tests.serving.conftest import serve_config
from tests.serving.servers import PROJECT
from tests.serving.tiny import make_world


def test_replicas_are_two_and_neither_shares_a_node() -> None:
    args = {"base": {"device": "cpu"}, "replicas": {"num_replicas": 5, "gpus": 0}}
    changed = two_replicas(serve_config(args))["applications"][0]["args"]
    assert changed["base"] == {"device": "cpu"}
    assert changed["replicas"] == {"num_replicas": 2, "gpus": 0, "cpus": 0.6}
    assert 2 * changed["replicas"]["cpus"] > 1  # a node's CPUs


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_nodes_serve_and_an_interrupt_ends_all_of_it(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    config, port = tmp_path / "serve.yaml", free_port()
    config.write_text(yaml.safe_dump(serve_config(world.settings())))
    command = [sys.executable, "-m", "cluster.local_two_nodes", "--config", str(config), "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "ready at" in line:
                break
        assert said[-1:] == [f"Adaptrix is ready at http://127.0.0.1:{port} on 2 nodes\n"], said
        started = psutil.Process(process.pid).children(recursive=True)
        raylets = [child for child in started if child.name() == "raylet"]
        replicas = [child for child in started if "ModelReplica" in " ".join(child.cmdline())]
        homes = {next(parent.pid for parent in replica.parents() if parent in raylets) for replica in replicas}
        assert len(homes) == 2  # one replica under each node's raylet
        ask = {"model": "math_reasoning", "prompt": "2 + 2", "max_tokens": 3, "temperature": 0}
        assert httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=ask, timeout=120).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=240) == 0
    deadline = time.monotonic() + 60
    while (left := [child for child in started if child.is_running()]) and time.monotonic() < deadline:
        psutil.wait_procs(left, timeout=1)
    assert not left


def test_a_config_that_is_wrong_starts_nothing(tmp_path: Path) -> None:
    config = tmp_path / "serve.yaml"
    config.write_text(yaml.safe_dump(serve_config({"engine": {"max_rows": 0}})))
    command = [sys.executable, "-m", "cluster.local_two_nodes", "--config", str(config), "--check"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "engine.max_rows = 0" in done.stderr
    assert "starting" not in done.stdout
