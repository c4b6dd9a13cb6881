"""Two Ray nodes on this machine, without containers: a head, a second node, and Adaptrix spread over both.

    python -m cluster.local_two_nodes                 # until Ctrl-C
    python -m cluster.local_two_nodes --check         # until GET /health says 200, then down again

The API listens on loopback; Ray's own ports take only who has the token, which is made for each run and deleted
after it. Each replica takes more than half a node, so two of them land on two nodes. Only processes that were started
here are ended, by their ids.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from adaptrix_core.errors import ConfigError
from adaptrix_core.places import project_root
from deployments import ray_seam
from deployments.launch.environment import SERVE_ENVIRONMENT
from deployments.launch.local import DEFAULT_CONFIG
from deployments.launch.preflight import address_of, read_config
from loadtest.ports import free_port

NODES = 2
NODE_CPUS = 1
REPLICA_CPUS = 0.6
START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 120.0
POLL_S = 0.25
OBJECT_STORE_BYTES = 256 * 1024**2


def main(argv: list[str] | None = None) -> int:
    """Run until interrupted or checked; 0, or 1 where it could not start."""
    given = _arguments().parse_args(argv)
    stop = threading.Event()
    _heed_signals(stop)
    with tempfile.TemporaryDirectory(prefix="adaptrix-") as name, ExitStack() as stack:
        directory = Path(name)
        _set_environment(directory / "token")  # before anything imports Ray, which reads it once
        try:
            config = two_replicas(read_config(given.config, "127.0.0.1", given.port))
            _start(directory, config, stack, stop)
        except ConfigError as error:
            print(f"{given.config}: {error.message}", file=sys.stderr)
            return 1
        except (RuntimeError, ConnectionError) as error:
            print(error, file=sys.stderr)
            return 1
        if not stop.is_set():
            print(f"Adaptrix is ready at http://127.0.0.1:{given.port} on {NODES} nodes", flush=True)
        if not given.check:
            stop.wait()
        print("stopping", flush=True)
    return 0


def two_replicas(config: dict[str, Any]) -> dict[str, Any]:
    """The Serve config with two replicas, each larger than half a node."""
    args = config["applications"][0].setdefault("args", {})
    args["replicas"] = {**args.get("replicas", {}), "num_replicas": NODES, "cpus": REPLICA_CPUS}
    return {**config, "proxy_location": "HeadOnly"}


def _heed_signals(stop: threading.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())


def _set_environment(token: Path) -> None:
    """For this process and all that it starts: a token for this run alone, and the code of this checkout."""
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    os.environ.update(
        {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            **SERVE_ENVIRONMENT,
            "RAY_AUTH_TOKEN_PATH": str(token),
            "PYTHONPATH": os.pathsep.join([str(project_root()), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }
    )


def _start(directory: Path, config: dict[str, Any], stack: ExitStack, stop: threading.Event) -> None:
    """Start everything and leave it to the stack to end it. Raises RuntimeError where it cannot be started."""
    port = free_port()
    node = [sys.executable, "-m", "ray.scripts.scripts", "start", "--node-ip-address=127.0.0.1", "--block",
            f"--num-cpus={NODE_CPUS}", "--num-gpus=0", f"--object-store-memory={OBJECT_STORE_BYTES}"]  # fmt: skip
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={directory / 'ray'}"]
    print("starting the head", flush=True)
    processes = [stack.enter_context(_process([*node, *head], directory / "head.log"))]
    _wait(lambda: _listens(port), processes, stop, "the head")
    print("starting the second node", flush=True)
    processes.append(stack.enter_context(_process([*node, f"--address=127.0.0.1:{port}"], directory / "second.log")))
    if not stop.is_set():
        _deploy(f"127.0.0.1:{port}", config, processes, stack, stop)


def _deploy(
    address: str, config: dict[str, Any], processes: Sequence[_Process], stack: ExitStack, stop: threading.Event
) -> None:
    """Connect to the cluster, deploy ``config`` once both nodes are there, and wait until it answers."""
    import ray
    from ray import serve

    stack.callback(ray.shutdown)
    ray.init(address=address, namespace="serve", log_to_driver=False, logging_level=logging.ERROR)
    _heed_signals(stop)  # Ray has put its own handlers in place, which end the process at once
    _wait(lambda: sum(node["Alive"] for node in ray.nodes()) == NODES, processes, stop, "the second node")
    print("deploying", flush=True)
    stack.callback(serve.shutdown)
    ray_seam.deploy(config)
    _wait(lambda: _healthy(f"http://127.0.0.1:{address_of(config)[1]}"), processes, stop, "answer to GET /health")


def _wait(condition: Callable[[], bool], processes: Sequence[_Process], stop: threading.Event, what: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not stop.is_set() and not condition():
        for process in processes:
            if process.popen.poll() is not None:
                raise RuntimeError(f"a node ended while {what} was waited for:\n{process.log.read_text()}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {what} after {START_TIMEOUT_S:.0f} s; Ray's logs say more")
        stop.wait(POLL_S)


class _Process:
    """A process that was started here, and where it writes."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.log = log
        with log.open("w") as output:
            # In a session of its own: a Ctrl-C is for this program, which then ends everything in order.
            self.popen = subprocess.Popen(
                command, cwd=project_root(), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[_Process]:
    """A process that is asked to end, and then made to, with all that it started."""
    process = _Process(command, log)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGTERM)
        try:
            process.popen.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.popen.pid, signal.SIGKILL)
            process.popen.wait()


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5.0).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="a Serve config; its replicas become two")
    parser.add_argument("--port", type=int, default=8000, help="port of the HTTP server")
    parser.add_argument("--check", action="store_true", help="stop once the system answers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
