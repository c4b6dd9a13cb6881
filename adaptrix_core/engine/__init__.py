"""Tokens in, tokens out: continuous batching of rows under different mixes."""

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
