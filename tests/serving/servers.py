"""Server processes for tests: started on a free port, waited for, ended with one interrupt as Ctrl-C would."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

PROJECT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Server:
    """A server process with its own Ray cluster."""

    url: str
    process: subprocess.Popen[str]
    log: Path


@contextmanager
def started(command: Sequence[str], port: int, log: Path, env: dict[str, str] | None = None) -> Iterator[Server]:
    """``command`` as a server that listens on ``port``, from the project's root, ready when this yields."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
            start_new_session=True,
            preexec_fn=_hear_interrupts,
        )
    server = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=STOP_TIMEOUT_S)


def wait_until_ready(server: Server) -> None:
    """Until GET /health says 200. Fails with the server's own words where it ends before."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert server.process.poll() is None, f"the server ended:\n{server.log.read_text()}"
        try:
            if httpx.get(f"{server.url}/health", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
        time.sleep(0.1)
    raise AssertionError(f"not ready in {START_TIMEOUT_S} s:\n{server.log.read_text()}")


def _hear_interrupts() -> None:
    """SIGINT ends a server, but a shell makes its background jobs, and so this test run's children, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
