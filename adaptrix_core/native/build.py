"""The native kernels: built once from the sources beside this file, then loaded.

They need a C++ compiler, and a processor with AVX2, FMA and F16C; `why_not` says what is missing. The compiled library
is kept in the user's cache under a name that changes with sources, flags and processor. It shares torch's OpenMP
runtime, so that the two do not wait for each other's threads.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

from adaptrix_core.cache_dir import cache_root
from adaptrix_core.errors import BaseModelError
from adaptrix_core.native.structs import INTERFACE, SOURCES

_MAIN = "stack.cpp"
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-shared", "-fPIC", "-Wall")
_NEEDED = ("avx2", "fma", "f16c")


@cache
def why_not() -> str | None:
    """Why the kernels cannot be used on this machine; None if they can."""
    if platform.system() != "Linux":
        return f"the native kernels are built on Linux only, this is {platform.system()}"
    missing = [name for name in _NEEDED if name not in _processor_features()]
    if missing:
        return f"the processor lacks {', '.join(missing)}"
    if _compiler() is None and not _library_path().is_file():
        return "no C++ compiler was found; install g++, or set CXX"
    return None


@cache
def library() -> ctypes.CDLL:
    """The kernels, compiled if need be (some seconds, once). Raises BaseModelError where `why_not` gives a reason."""
    reason = why_not()
    if reason is not None:
        raise BaseModelError(f"packed weights need the native kernels: {reason}", code="no_kernels")
    path = _library_path()
    if not path.is_file():
        _compile(path)
    return INTERFACE.load(path)


def _compiler() -> str | None:
    return shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++") or shutil.which("clang++")


def _processor_features() -> frozenset[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


@cache
def _library_path() -> Path:
    total = hashlib.sha256(" ".join((*_FLAGS, torch.__version__, *sorted(_processor_features()))).encode())
    for source in sorted(SOURCES.iterdir()):
        total.update(source.name.encode() + source.read_bytes())
    return cache_root() / "native" / f"kernels-{total.hexdigest()[:24]}.so"


def _compile(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    openmp = Path(torch.__file__).parent / "lib"
    shared = ["-L", str(openmp), "-l:libgomp.so.1"] if (openmp / "libgomp.so.1").is_file() else []
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        made = Path(scratch) / path.name
        command = [str(_compiler()), *_FLAGS, str(SOURCES / _MAIN), "-o", str(made), *shared]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            raise BaseModelError(
                f"the native kernels did not compile ({' '.join(command)}): {outcome.stderr[-800:]}", code="no_kernels"
            )
        made.replace(path)
