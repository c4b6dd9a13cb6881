"""Tokens in, tokens out: continuous batching of rows under different mixes.

Importing this package is cheap: the names below load torch on first use, and who only wants the ranges of sampling
parameters (`sampling_limits.py`) never does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adaptrix_core.engine.engine import Engine
    from adaptrix_core.engine.loop import EngineLoop
    from adaptrix_core.engine.options import EngineOptions
    from adaptrix_core.engine.request import Completion, GenerationRequest, SamplingParams, TokenEvent

__all__ = [
    "Completion",
    "Engine",
    "EngineLoop",
    "EngineOptions",
    "GenerationRequest",
    "SamplingParams",
    "TokenEvent",
]

_MODULES = {
    "Completion": "request",
    "Engine": "engine",
    "EngineLoop": "loop",
    "EngineOptions": "options",
    "GenerationRequest": "request",
    "SamplingParams": "request",
    "TokenEvent": "request",
}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
