"""Tokens in, tokens out: continuous batching of rows under different mixes.

Importing this package is cheap: the names below load torch and transformers on first use.

Files:

build         An engine as the settings describe it
core          The engine's core: tokens in, tokens out, many adapters in one running batch
engine        The engine as a user meets it: a base model, adapters by name, text in and text out
heartbeat     Whether the engine's thread gets on: it says when it turns to a step or a command, anybody may ask how
              long ago
loop          The engine on a thread of its own, for asyncio callers
mailbox       Events of one request on their way from the engine's thread to their reader, alone or a few together
options       How large an engine is, and which of its passes are on
request       What goes into the engine and what comes out: plain records, no behaviour beyond checking themselves
tenant_queue  Work whose cost callers choose is done in a few threads, and little at once for one tenant: none waits
              for another's
cache/        Keys and values of computed tokens: paged blocks, and which of them others can take over
compute/      One step computed: layers, attention and the ways to run them fast
rows/         One sequence being generated: its state, its next token, its text, its grammar
scheduling/   Which rows run next, and which requests are taken at all
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
