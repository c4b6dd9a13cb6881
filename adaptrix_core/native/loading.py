"""Finds the kernels for this processor, compiles them where they are not there yet, and loads them.

They come with the package ``adaptrix-kernels``, or are compiled into the user's cache.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch  # noqa: F401 (loads the OpenMP runtime that the kernels then share: threads of two would hinder each other)

from adaptrix_core.cache_dir import cache_root
from adaptrix_core.errors import BaseModelError
from adaptrix_core.native.build import compile_kernels, compiler
from adaptrix_core.native.instructions import choose_here
from adaptrix_core.native.sources import library_name
from adaptrix_core.native.structs import INTERFACE

PACKAGE = "adaptrix_kernels"
"""Import name of the package ``adaptrix-kernels``, which contains compiled libraries."""


@cache
def why_not() -> str | None:
    """Why the kernels cannot be used on this machine; None if they can."""
    if platform.system() != "Linux":
        return f"the native kernels are built on Linux only, this is {platform.system()}"
    try:
        instructions = choose_here()
    except BaseModelError as error:
        return error.message
    if compiler() is None and _compiled(instructions) is None:
        other = "adaptrix-kernels are installed, but of another version; " if _package_directories() else ""
        return f"{other}no C++ compiler was found; install g++, set CXX, or install the wheel of adaptrix-kernels"
    return None


@cache
def library(instructions: str | None = None) -> ctypes.CDLL:
    """The kernels, compiled if need be (some seconds, once). Raises BaseModelError where `why_not` gives a reason.

    ``instructions`` chooses an instruction set that the processor has; by default it is `choose_here`'s.
    """
    reason = why_not()
    if reason is not None:
        raise BaseModelError(f"packed weights need the native kernels: {reason}", code="no_kernels")
    chosen = instructions or choose_here()
    path = _compiled(chosen)
    if path is None:
        path = _cache_directory() / library_name(chosen)
        compile_kernels(chosen, path)
    return INTERFACE.load(path)


def _compiled(instructions: str) -> Path | None:
    """The library for an instruction set, if there is one that was compiled from these sources."""
    places = (place / library_name(instructions) for place in (*_package_directories(), _cache_directory()))
    return next((path for path in places if path.is_file()), None)


def _package_directories() -> list[Path]:
    found = find_spec(PACKAGE)
    return [Path(place) for place in (found and found.submodule_search_locations) or ()]


def _cache_directory() -> Path:
    return cache_root() / "native"
