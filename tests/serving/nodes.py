"""A Ray cluster of several nodes on this machine, each with processes of its own, to be killed like a machine."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from deployments.launch.environment import SERVE_ENVIRONMENT
from loadtest.ports import free_port
from tests.serving.conftest import serve_config
from tests.serving.servers import PROJECT

READY_S = 600.0
START_ATTEMPTS = 3
_RAY = [sys.executable, "-m", "ray.scripts.scripts", "start", "--node-ip-address=127.0.0.1", "--block",
        "--num-cpus=2", "--num-gpus=0", f"--object-store-memory={128 * 1024**2}"]  # fmt: skip


@dataclass
class Nodes:
    """A running cluster: the head, which holds the clients' connections, and others, which compute."""

    url: str
    address: str
    directory: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _logs: dict[int, Path] = field(default_factory=dict)
    _started: int = 0

    def add(self) -> None:
        """One more node."""
        self.start(f"--address={self.address}")

    def start(self, *arguments: str) -> None:
        """A node that is up; on a busy machine Ray gives up after half a minute, so it gets several tries."""
        for _ in range(START_ATTEMPTS):
            node = self._start(*arguments)
            while node.poll() is None:
                if "will now block" in self._log_of(node).read_text():
                    return
                time.sleep(0.1)
            kill_node(node)
            self.processes.remove(node)
        raise AssertionError(f"a node does not start: see {self.directory}")

    def deploy(self, args: dict[str, Any]) -> None:
        """Deploy these settings as `serve deploy` does, and wait until everything runs as they say."""
        config = self.directory / "serve.yaml"
        document: dict[str, Any] = serve_config(args)
        document["http_options"]["port"] = int(self.url.rsplit(":", 1)[1])
        # Where the connections are held; a node that dies is another one.
        front = {"name": "Ingress", "ray_actor_options": {"num_cpus": 0.1, "resources": {"front": 0.1}}}
        spread = {"name": "ModelReplica", "max_replicas_per_node": 2}
        document["applications"][0]["deployments"] = [front, spread]
        config.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "tests.serving.deploy", self.address, str(config)]
        log = self.directory / "deploy.log"
        with log.open("w") as output:
            done = subprocess.run(
                command, cwd=PROJECT, env=self.environment, stdout=output, stderr=output, timeout=READY_S, check=False
            )
        assert done.returncode == 0, log.read_text()
        deadline = time.monotonic() + READY_S
        while httpx.get(f"{self.url}/health", timeout=10).status_code != 200:
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.1)

    def replicas(self) -> list[psutil.Process]:
        """The processes of model replicas, on all nodes."""
        return [p for node in self.processes for p in family(node) if "ModelReplica" in _title(p)]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        self._started += 1
        with (self.directory / f"node-{self._started}.log").open("w") as log:
            process = subprocess.Popen(
                [*_RAY, *arguments],
                cwd=PROJECT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        self._logs[process.pid] = Path(log.name)
        return process

    def _log_of(self, node: subprocess.Popen[bytes]) -> Path:
        return self._logs[node.pid]


@contextmanager
def nodes(directory: Path, count: int) -> Iterator[Nodes]:
    """A cluster of ``count`` nodes of two CPUs each; everything is killed in the end."""
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        **SERVE_ENVIRONMENT,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PYTHONPATH": str(PROJECT),
    }
    port = free_port()
    short = tempfile.mkdtemp(prefix="ray-")  # sockets are in it, whose paths have a limit
    cluster = Nodes(f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{port}", directory, environment)
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={short}"]
    try:
        cluster.start(*head, '--resources={"front": 1}')
        for _ in range(count - 1):
            cluster.add()
        yield cluster
    finally:
        for node in reversed(cluster.processes):
            kill_node(node)
        shutil.rmtree(short, ignore_errors=True)


def kill_node(node: subprocess.Popen[bytes]) -> None:
    """End a node as a power cut would: its raylet, and with it all that ran there."""
    doomed = family(node)
    for process in sorted(doomed, key=lambda p: "raylet" not in _title(p)):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    node.wait()


def family(node: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """A node's process and all that it started."""
    try:
        parent = psutil.Process(node.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""
