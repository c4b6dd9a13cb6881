"""Finds the kernels for this processor, compiles them where they are not there yet, and loads them.

Compiled libraries are kept in the user's cache.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from pathlib import Path

from adaptrix_core.cache_dir import cache_root
from adaptrix_core.errors import BaseModelError
from adaptrix_core.native.build import compile_kernels, compiler
from adaptrix_core.native.instructions import choose_here
from adaptrix_core.native.sources import library_name
from adaptrix_core.native.structs import INTERFACE


@cache
def why_not() -> str | None:
    """Why the kernels cannot be used on this machine; None if they can."""
    if platform.system() != "Linux":
        return f"the native kernels are built on Linux only, this is {platform.system()}"
    try:
        instructions = choose_here()
    except BaseModelError as error:
        return error.message
    if compiler() is None and not _cached(instructions).is_file():
        return "no C++ compiler was found; install g++, or set CXX"
    return None


@cache
def library(instructions: str | None = None) -> ctypes.CDLL:
    """The kernels, compiled if need be (some seconds, once). Raises BaseModelError where `why_not` gives a reason.

    ``instructions`` chooses an instruction set that the processor has; by default it is `choose_here`'s.
    """
    reason = why_not()
    if reason is not None:
        raise BaseModelError(f"packed weights need the native kernels: {reason}", code="no_kernels")
    path = _cached(instructions or choose_here())
    if not path.is_file():
        compile_kernels(instructions or choose_here(), path)
    return INTERFACE.load(path)


def _cached(instructions: str) -> Path:
    return cache_root() / "native" / library_name(instructions)
