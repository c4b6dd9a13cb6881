"""Compiles the kernels for one instruction set, where a C++ compiler is at hand.

The compiler's flags are files beside the sources, so that every build uses the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from adaptrix_core.errors import BaseModelError
from adaptrix_core.native.sources import SOURCES


def compiler() -> str | None:
    """The C++ compiler, ``$CXX`` if that is set; None where there is none."""
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++") or shutil.which("clang++")


def compile_kernels(instructions: str, path: Path) -> None:
    """Compile the kernels for an instruction set to ``path``, which appears when it is complete. Takes some seconds.

    Raises BaseModelError with the compiler's words.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = SOURCES / "instructions"
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        flags = [f"@{folder / 'common.flags'}", f"@{folder / instructions}.flags", "-shared"]
        command = [str(compiler()), *flags, str(folder / f"{instructions}.cpp"), "-o", str(made)]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            raise BaseModelError(
                f"the native kernels did not compile ({' '.join(command)}): {outcome.stderr[-800:]}", code="no_kernels"
            )
        made.replace(path)
