"""Adaptrix: one frozen language model, many signed LoRA adapters, one per request.

Knows nothing of HTTP, Ray or the command line. Importing this package is cheap: the names below load torch on first
use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adaptrix_core.engine import Completion, Engine, SamplingParams

__version__ = "0.1.0"
__all__ = ["Completion", "Engine", "SamplingParams", "__version__"]

_LAZY = {"Completion", "Engine", "SamplingParams"}


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module("adaptrix_core.engine"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
