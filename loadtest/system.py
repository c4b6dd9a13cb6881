"""A whole system on this machine, for the time of an experiment: started as `make serve` does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from adaptrix_core.places import project_root
from loadtest.ports import free_port

START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 120.0


def read_config(path: Path, directory: Path) -> dict[str, Any]:
    """A Serve config's document, with what the system keeps on disk in ``directory``."""
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    arguments = config["applications"][0].setdefault("args", {})
    arguments.setdefault("adapters", {})["state_dir"] = str(directory / "state")
    return config


@contextmanager
def serving(
    config: Mapping[str, Any],
    directory: Path,
    environment: Mapping[str, str] | None = None,
    checkout: Path | None = None,
) -> Iterator[str]:
    """The URL of a system with this Serve config on a free port; its config and log are written to ``directory``.

    environment: variables beside this process's. checkout: the code that is served, another version of this
    repository; None for this one. Raises RuntimeError, with the log, where the system does not start.
    """
    port = free_port()
    path = directory / "serve.yaml"
    path.write_text(yaml.safe_dump(dict(config)))
    command = [sys.executable, "-m", "deployments.launch", "--config", str(path), "--port", str(port)]
    with launched(command, port, directory / "serve.log", environment or {}, checkout) as url:
        yield url


@contextmanager
def launched(
    command: Sequence[str], port: int, log: Path, environment: Mapping[str, str], checkout: Path | None = None
) -> Iterator[str]:
    """The URL of what ``command`` serves on ``port``, once it is healthy; it is interrupted in the end.

    environment: variables beside this process's. checkout: where it is started, which is where Python finds the code;
    None: in this repository. Raises RuntimeError, with the log, where it does not start.
    """
    root = (checkout or project_root()).resolve()
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(root), **environment},
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process, log)
        yield url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_TIMEOUT_S)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the system ended before it was ready:\n{log.read_text()}")
        try:
            if httpx.get(f"{url}/health", timeout=10).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
        time.sleep(0.1)
    raise RuntimeError(f"not ready after {START_TIMEOUT_S:.0f} s:\n{log.read_text()}")
