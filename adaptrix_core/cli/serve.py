"""`serve`: the whole system on one machine, until Ctrl-C."""

from __future__ import annotations

import importlib.util
import os
import sys

import click

from adaptrix_core.cli.options import output_options
from adaptrix_core.cli.session import Session
from adaptrix_core.errors import ServerUnavailable


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address; other than loopback needs API keys.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@output_options
@click.pass_obj
def serve(session: Session, host: str, port: int) -> None:
    """Start Ray Serve with the ingress, the router, the replicas and the adapter store.

    Ready when GET /health says 200; one Ctrl-C ends all of it.
    """
    if importlib.util.find_spec("deployments") is None:
        raise ServerUnavailable(
            "the package `deployments` is not installed; run this in a checkout of the project, or use `make serve`",
            code="missing_package",
        )
    arguments = ["--host", host, "--port", str(port)]
    if session.config is not None:
        arguments += ["--config", str(session.config)]
    sys.stdout.flush()
    # The launcher takes this process over, so that signals reach it and nothing else.
    os.execv(sys.executable, [sys.executable, "-m", "deployments.launch", *arguments])
