"""Runs the scripts of npm's clients, and says why it cannot where Node or their packages are missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE
from typing import Any

from tests.clients.served import Served

SCRIPTS = Path(__file__).with_name("npm")
TIMEOUT_S = 120.0


def why_not(folder: Path = SCRIPTS) -> str:
    """Why the programs of ``folder`` cannot run here; empty where they can."""
    if shutil.which("node") is None:
        return "needs Node.js 20 or newer"
    return "" if (folder / "node_modules").is_dir() else f"needs `npm ci` in {folder.name}/; make test-clients does it"


def printed(script: str, server: Served) -> dict[str, Any]:
    """What ``script`` says of each call. Fails with all that it has written where it does not end well."""
    told: dict[str, Any] = json.loads(output_of(["node", script], SCRIPTS, server))
    return told


def output_of(command: Sequence[str], folder: Path, server: Served, **settings: str) -> str:
    """What ``command`` prints, told where the server is. Fails with all that it wrote where it does not end well."""
    found = {"ADAPTRIX_BASE_URL": server.base_url, "ADAPTRIX_KEY": server.key}
    models = {"ADAPTRIX_MODEL": server.model, "ADAPTRIX_TOOL_MODEL": server.tool_model}
    env = {**os.environ, **found, **models, **settings}
    with subprocess.Popen(command, cwd=folder, env=env, stdout=PIPE, stderr=PIPE, text=True) as process:
        try:
            written, complaints = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            written, complaints = process.communicate()
            complaints += f"\nkilled after {TIMEOUT_S} s"
    assert process.returncode == 0, f"{command} ended with {process.returncode}:\n{written}\n{complaints}"
    return written
