"""Commands that need no model load none of the libraries that take seconds: modules are looked at, not the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from adaptrix_core.places import shipped_adapters
from tests.serving.servers import PROJECT

HEAVY = ("torch", "transformers", "ray", "sentence_transformers", "sklearn", "scipy", "pandas", "datasets", "peft")

_RUN = """
import json, sys
from click.testing import CliRunner
from adaptrix_core.cli.main import cli
exits = []
for arguments in json.loads(sys.argv[1]):
    exits.append(CliRunner().invoke(cli, arguments).exit_code)
print(json.dumps({"exits": exits, "loaded": [name for name in json.loads(sys.argv[2]) if name in sys.modules]}))
"""


def run(tmp_path: Path, *commands: list[str]) -> tuple[list[int], list[str]]:
    """Exit codes, and which heavy libraries a process has loaded after all of these."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "XDG_CONFIG_HOME": str(tmp_path), "ADAPTRIX_URL": NOBODY}
    arguments = [sys.executable, "-c", _RUN, json.dumps(commands), json.dumps(HEAVY)]
    done = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    return told["exits"], told["loaded"]


NOBODY = "http://127.0.0.1:9"
"""Nobody answers there: how a command starts does not depend on it."""


def names() -> list[str]:
    from adaptrix_core.cli.main import cli

    return sorted(cli.commands)


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    exits, loaded = run(tmp_path, ["--help"], ["--version"], *([name, "--help"] for name in names()))
    assert loaded == []
    assert set(exits) == {0}


def test_commands_that_ask_a_server_load_nothing_heavy(tmp_path: Path) -> None:
    asked = [
        ["list"],
        ["list", "-v", "--json"],
        ["active"],
        ["status"],
        ["route", "hi"],
        ["feedback", "base", "right", "--confidence", "0.5"],
        ["query", "hi"],
        ["unload", "x"],
    ]
    exits, loaded = run(tmp_path, *asked)
    assert loaded == []
    assert set(exits) == {1}, "nobody answers"


def test_listing_and_signing_without_a_server_load_nothing_heavy(tmp_path: Path) -> None:
    name = next(path.parent for path in sorted(shipped_adapters().glob("*/metadata.json")))
    directory = tmp_path / name.name
    directory.mkdir()
    for file in name.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    exits, loaded = run(tmp_path, ["list", "--local"], ["sign", str(directory), "--new-key"])
    assert exits == [0, 0]
    assert loaded == []


def test_verifying_looks_at_tensors_and_needs_no_transformers(tmp_path: Path) -> None:
    directory = next(path.parent for path in shipped_adapters().glob("*/metadata.json"))
    exits, loaded = run(tmp_path, ["verify", str(directory)])
    assert exits == [0]
    assert loaded == ["torch"]
