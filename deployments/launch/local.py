"""`make serve`: a local Ray cluster with everything of serve_config.yaml on it, until Ctrl-C.

Checks the whole configuration before it starts anything, prints its progress, and prints the URL and an example once
`GET /health` answers 200. Starts nothing that `serve run serve_config.yaml` would not start.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from adaptrix_core.config import load_settings
from adaptrix_core.config.serve_file import application_args
from adaptrix_core.errors import ConfigError
from adaptrix_core.places import project_root
from deployments import ray_seam
from deployments.callers.reach import url_of
from deployments.launch.environment import LOCAL_ENVIRONMENT, SERVE_ENVIRONMENT
from deployments.launch.preflight import (
    address_of,
    cpus_of_this_machine,
    examine,
    read_config,
    require_startable,
)
from deployments.launch.quiet import quiet

DEFAULT_CONFIG = project_root() / "serve_config.yaml"
READY_TIMEOUT_S = 600.0
POLL_S = 0.25
START_ATTEMPTS = 3

EXAMPLE = """
Adaptrix is ready at {url}

  curl {url}/v1/chat/completions -H 'content-type: application/json'{key} \\
    -d '{{"model": "auto", "messages": [{{"role": "user", "content": "What is 12 + 30 - 5?"}}]}}'

Ctrl-C ends it. Logs: {logs}
"""


def main(argv: list[str] | None = None) -> int:
    """Run until interrupted; returns the exit code (0 ended by the user, 1 could not start, 2 usage)."""
    options = _arguments().parse_args(argv)
    # Before Ray is imported: it reads these once. Ray's own notices would bury ours. With a token only this user's
    # processes can submit work to the cluster; without one, everybody on this machine can.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    for name, value in {**SERVE_ENVIRONMENT, **LOCAL_ENVIRONMENT}.items():
        os.environ.setdefault(name, value)
    try:
        config = read_config(options.config, options.host, options.port)
        if options.check:
            examined = examine(config)
            for warning in examined.warnings:
                print(f"warning: {warning}", file=sys.stderr)
            print(f"{options.config}: {examined.in_words()}")
            return 0
        require_startable(config)
    except ConfigError as error:
        print(f"{options.config}: {error.message}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: _stop_once(stop))
    return _serve(config, stop)


def _serve(config: dict[str, Any], stop: threading.Event) -> int:
    started = time.monotonic()
    progress = Progress(started)
    progress.say("starting Ray")
    import ray
    from ray import serve

    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    session = _start_ray(progress, stop)
    if session is None:
        return 1
    logs = Path(session) / "logs" / "serve"
    try:
        ray_seam.deploy(config)
        url = url_of(*address_of(config))
        failure = _wait_until_ready(url, str(config["applications"][0]["name"]), progress, stop)
        if failure is not None:
            progress.say(f"{failure}\nlogs: {logs}")
            return 1
        if not stop.is_set():
            keys = load_settings(application_args(config)).security.api_keys_file
            key = " -H 'authorization: Bearer <key>'" if keys else ""
            print(EXAMPLE.format(url=url, key=key, logs=logs), flush=True)
        stop.wait()
        progress.say("stopping")
        return 0
    finally:
        with quiet():  # Ray reports calls that its own shutdown has cut off
            serve.shutdown()
            ray.shutdown()


def _start_ray(progress: Progress, stop: threading.Event) -> str | None:
    """Start a local cluster; on a busy machine Ray gives up after half a minute, so it gets several tries.

    Returns Ray's directory for this session; None where it did not start.
    """
    import ray

    for attempt in range(START_ATTEMPTS):
        try:
            context = ray.init(
                address="local",
                namespace="serve",
                num_cpus=cpus_of_this_machine(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            return str(context.address_info["session_dir"])
        except Exception as error:  # Ray raises a bare Exception when its processes take too long
            ray.shutdown()
            first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            again = attempt + 1 < START_ATTEMPTS and not stop.is_set()
            progress.say(f"Ray did not start ({first_line}); {'trying again' if again else 'giving up'}")
            if not again:
                break
    return None


class Progress:
    """Prints what is being waited for, with the time since the start; each line once."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._last = ""

    def say(self, what: str) -> None:
        """Print ``what`` unless it was printed last."""
        if what != self._last:
            self._last = what
            print(f"[{time.monotonic() - self._started:5.1f} s] {what}", flush=True)


def _wait_until_ready(url: str, app_name: str, progress: Progress, stop: threading.Event) -> str | None:
    """Wait until the service is ready or ``stop`` is set (None), or has failed for good (the reason)."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not stop.wait(POLL_S):
        status = _application_status(app_name)
        if status is not None and status.status in ("DEPLOY_FAILED", "UNHEALTHY"):
            details = "; ".join(deployment.message for deployment in status.deployments.values() if deployment.message)
            return f"could not start: {_told(status.message)} {_told(details)}"
        try:
            response = httpx.get(f"{url}/health", timeout=5.0)
        except httpx.HTTPError:
            progress.say("waiting for the HTTP server")
        else:
            if response.status_code == 200:
                return None
            progress.say(_missing(response))
        if time.monotonic() > deadline:
            return f"not ready after {READY_TIMEOUT_S:.0f} s"
    return None


def _told(message: str) -> str:
    """The gist of a message of Ray Serve's, which ends with the error after its traceback."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    return lines[-1] if "Traceback" in message else " ".join(lines)


def _application_status(name: str) -> Any:
    from ray import serve

    return serve.status().applications.get(name)


def _missing(response: httpx.Response) -> str:
    is_json = response.headers.get("content-type", "").startswith("application/json")
    if is_json and (missing := response.json().get("missing")):
        return "waiting: " + "; ".join(missing)
    return "loading the base model, the adapters and the router"


def _stop_once(stop: threading.Event) -> None:
    """Let the first signal ask for an orderly end, and a second one end the process at once."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.launch", description=__doc__)
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, help="a Ray Serve config file")
    parser.add_argument("--host", help="address to listen on, instead of the file's")
    parser.add_argument("--port", type=int, help="port to listen on, instead of the file's")
    parser.add_argument("--check", action="store_true", help="say what would keep it from starting, and start nothing")
    return parser
