"""A package of others, installed as a user installs it, adds one part at every extension point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "examples" / "extension_package"
PYTEST = (sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-cov")
PIP = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")


def test_an_installed_package_adds_a_part_at_every_point(tmp_path: Path) -> None:
    source = shutil.copytree(PACKAGE, tmp_path / "source")  # a build leaves files beside its sources
    site = tmp_path / "site"
    subprocess.run([*PIP, "--target", str(site), str(source)], check=True, cwd=tmp_path)
    done = subprocess.run(
        [*PYTEST, "tests/extensions/parts_of_the_example.py"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
