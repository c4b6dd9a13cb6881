"""`serve`: the whole system on one machine, until Ctrl-C."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import asdict

import click

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import ServerUnavailable

READY_LINE = re.compile(r"Adaptrix is ready at (?P<url>\S+)$")
"""The line that the launcher prints once `GET /health` answers 200."""


@click.command()
@click.option("--host", help="Address, instead of the settings' (127.0.0.1); other than loopback needs API keys.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port, instead of the settings' (8000).")
@click.option("--check", is_flag=True, help="Report what would keep it from starting, and start nothing.")
@output_options
@click.pass_obj
def serve(session: Session, host: str | None, port: int | None, check: bool) -> None:
    """Start Ray Serve with the ingress, the router, the replicas and the adapter store.

    The settings are those of --config, else of serve_config.yaml. All of them, the port, the directories and this
    machine's processors are checked before anything starts; --check looks at the base model and the adapters too.
    Ready when GET /health says 200; one Ctrl-C ends all of it. With --json, one JSON line says so on stdout and the
    progress goes to stderr.
    """
    if importlib.util.find_spec("deployments") is None:
        raise ServerUnavailable(
            "the package `deployments` is not installed; run this in a checkout of the project, or use `make serve`",
            code="missing_package",
        )
    if check:
        _check(session, host, port)
        return
    command = [sys.executable, "-m", "deployments.launch"]
    for option, value in (("--host", host), ("--port", port), ("--config", session.config)):
        command += [option, str(value)] if value is not None else []
    if session.as_json:
        sys.exit(_announce_ready(command))
    sys.stdout.flush()
    # The launcher replaces this process, so that signals reach it alone.
    os.execv(command[0], command)


def _check(session: Session, host: str | None, port: int | None) -> None:
    with session.output.waiting("checking"):
        from deployments.launch.local import DEFAULT_CONFIG
        from deployments.launch.preflight import examine, read_config

        path = session.config or DEFAULT_CONFIG
        examined = examine(read_config(path, host, port))
    for warning in examined.warnings:
        session.output.warn(warning)
    session.output.result(
        {"ok": True, "config": str(path), **asdict(examined)},
        lambda out: out.print(f"{path}: {examined.in_words()}", markup=False),
    )


def _announce_ready(command: list[str]) -> int:
    """Run the launcher, print one JSON line once the server is ready, and wait for its end; returns its exit code."""
    # A session of its own: Ctrl-C reaches this process only, which passes it on once.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda received, _frame: server.send_signal(received))
        assert server.stdout is not None
        for line in server.stdout:
            click.echo(line, nl=False, err=True)
            ready = READY_LINE.match(line)
            if ready is not None:
                click.echo(json.dumps({"url": ready["url"], "status": "ready"}))
        return server.wait()
