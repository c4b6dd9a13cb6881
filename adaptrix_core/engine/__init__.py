"""Tokens in, tokens out: continuous batching of rows under different mixes.

Importing this package is cheap: the names below load torch and transformers on first use.

Files:

build           An engine as the settings describe it
choices         Who is to answer, as callers of the library say it: names, mixes and compositions, read into rows by
                name
core            The engine's core: tokens in, tokens out, many adapters in one running batch
deferred        A choice that is put off to the cut: who answers is settled by what the trunk has made of the question
engine          The engine's public face: a base model, adapters by name, text in and text out
heartbeat       Whether the engine's thread makes progress: it notes the time of every step and command, any thread
                may read it
loop            The engine on a thread of its own, for asyncio callers
mailbox         Events of one request on their way from the engine's thread to their reader, alone or a few together
options         The sizes of an engine, and which of its passes are on
request         The engine's input and output: plain records, no behaviour beyond checking themselves
request_checks  Checks of a request against the engine that is to compute it: its mixes, token ids and length
settled_mixes   The mixes of a choice after those that were measured to spoil their adapters' answers are settled
settling        Settles, between two steps, who answers the rows whose trunk is computed (scheduler state: they wait
                for their mix)
tenant_queue    Runs work of caller-chosen cost in a few threads, a bounded number at once for one tenant (a bulkhead
                between them)
cache/          Keys and values of computed tokens: paged blocks, and which of them others can take over
compute/        One step computed: layers, attention and the ways to run them fast
confidence/     Confidence of the engine's answers: judged when they are whole, held back until one is sure enough
groups/         Groups: the rows that serve one request together, and rows that change their mix in mid-answer
rows/           One sequence being generated: its state, its next token, its text, its grammar
scheduling/     Scheduling: the rows of the next step, and admission of requests
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
