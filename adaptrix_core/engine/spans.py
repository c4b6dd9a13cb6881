"""Running spans of layers on a step's chunks: what the runner asks of a backend, and the one over transformers modules.

`NativeSpans` (`native.py`) is the other one. A backend knows nothing of sampling or scheduling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.running import LayerCall
from adaptrix_core.engine.attention import ATTENTION_NAME, Segment, SpanAttention, states_entering
from adaptrix_core.engine.kv_cache import KVCache
from adaptrix_core.engine.paged_library import paged_library
from adaptrix_core.engine.scheduler import Chunk
from adaptrix_core.injection.injector import LayerInjector


class Spans(Protocol):
    """Runs consecutive spans on the same tokens."""

    def run(self, chunks: Sequence[Chunk], spans: Sequence[int]) -> Tensor:
        """The states that leave the last of ``spans``, ``(1, tokens, hidden)``; keys, values and states are kept."""


class ModuleSpans:
    """Spans over the modules of the loaded model, under the injector's hooks."""

    def __init__(self, base: BaseModel, cache: KVCache, injector: LayerInjector, call: LayerCall) -> None:
        """call: how a decoder layer is called, see `BaseModel.run_span`."""
        self._base = base
        self.call_layer = call
        self.library = paged_library(base, cache.block_size)
        self._cache = cache
        self._injector = injector
        base.module.set_attn_implementation(ATTENTION_NAME)

    def run(self, chunks: Sequence[Chunk], spans: Sequence[int]) -> Tensor:
        """See `Spans.run`."""
        device = self._base.device
        places = [(c.row, p) for c in chunks for p in range(c.start, c.start + c.count)]
        positions = torch.tensor([[place for _, place in places]], device=device)
        segments = [Segment(c.row.tables, c.start, c.count) for c in chunks]
        with self._injector.step([row.mix_at(place) for row, place in places]):
            if spans[0] == 0:
                token_ids = torch.tensor([[row.tokens[place] for row, place in places]], device=device)
                hidden = self._base.embed(token_ids, positions)
            else:
                hidden = states_entering(self._cache, spans[0], segments)
            rotary = self._base.rotary(hidden, positions)
            for number in spans:
                attention = SpanAttention(self._cache, number, segments, self.library)
                span = self._cache.spans[number]
                hidden = self._base.run_span(span, hidden, positions, rotary, attention, self.call_layer)
                attention.keep_states(hidden)
        return hidden
