"""A process that is killed at any point loses nothing that it had confirmed, and the log stays good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
KILLS = 200


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_hundred_kills_lose_nothing_that_was_confirmed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.security.audit.kills", str(tmp_path), str(KILLS), "17"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["lost"] == []
    assert found["broken"] == []
    # The kills did meet the moments that matter: ends were torn, files were begun, much was confirmed.
    assert found["recovered"] >= 5
    assert found["files"] >= 5
    assert found["confirmed"] >= KILLS
