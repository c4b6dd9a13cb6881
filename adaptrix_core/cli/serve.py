"""`serve`: the whole system on one machine, until Ctrl-C."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import click

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import ServerUnavailable

POLL_S = 0.25


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; other than loopback needs API keys.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@output_options
@click.pass_obj
def serve(session: Session, host: str, port: int) -> None:
    """Start Ray Serve with the ingress, the router, the replicas and the adapter store.

    Ready when GET /health says 200; one Ctrl-C ends all of it. With --json, one JSON line says so on stdout and the
    progress goes to stderr.
    """
    if importlib.util.find_spec("deployments") is None:
        raise ServerUnavailable(
            "the package `deployments` is not installed; run this in a checkout of the project, or use `make serve`",
            code="missing_package",
        )
    command = [sys.executable, "-m", "deployments.launch", "--host", host, "--port", str(port)]
    if session.config is not None:
        command += ["--config", str(session.config)]
    if session.as_json:
        sys.exit(_announce_ready(command, f"http://{host}:{port}"))
    sys.stdout.flush()
    # The launcher takes this process over, so that signals reach it and nothing else.
    os.execv(command[0], command)


def _announce_ready(command: list[str], url: str) -> int:
    """Run the launcher, print one JSON line once the server is ready, and wait for its end; returns its exit code."""
    import httpx

    # A session of its own: Ctrl-C reaches this process only, which passes it on once.
    with subprocess.Popen(command, stdout=sys.stderr, start_new_session=True) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, _frame: server.send_signal(received))
        while server.poll() is None:
            try:
                ready = httpx.get(f"{url}/health", timeout=5.0).status_code == 200
            except httpx.HTTPError:
                ready = False
            if ready:
                click.echo(json.dumps({"url": url, "status": "ready"}))
                break
            time.sleep(POLL_S)
        return server.wait()
