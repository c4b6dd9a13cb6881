"""Tokens in, tokens out: continuous batching of rows under different mixes.

Importing this package is cheap: the names below load torch and transformers on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

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

__getattr__ = lazy_exports(
    __name__,
    {
        "Completion": "adaptrix_core.engine.request",
        "Engine": "adaptrix_core.engine.engine",
        "EngineLoop": "adaptrix_core.engine.loop",
        "EngineOptions": "adaptrix_core.engine.options",
        "GenerationRequest": "adaptrix_core.engine.request",
        "SamplingParams": "adaptrix_core.engine.request",
        "TokenEvent": "adaptrix_core.engine.request",
    },
)
