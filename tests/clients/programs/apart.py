"""The environment of clients that cannot be installed beside this package (`apart.txt`), and what it has."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import distributions
from pathlib import Path

from tests.clients.client import Client

PROJECT = Path(__file__).resolve().parents[3]
PLACE = Path(os.environ.get("ADAPTRIX_CLIENTS_APART", PROJECT / ".venv-clients-apart"))
TIMEOUT_S = 240.0

WHY_NOT = "" if (PLACE / "bin" / "python").is_file() else "needs the environment that make test-clients makes"


def there(distribution: str, note: str = "", name: str | None = None) -> Client:
    """A package of that environment as a client."""
    found = {
        each.name: each.version for each in distributions(path=[str(p) for p in PLACE.glob("lib/*/site-packages")])
    }
    return Client(name or distribution, found.get(distribution, "not installed"), note)


def run(program: str, *arguments: str, cwd: Path | None = None, **settings: str) -> str:
    """What a program of that environment prints. Fails with all that it wrote where it does not end well."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", **settings}
    command = [str(PLACE / "bin" / program), *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout
