"""Runs spans of layers on a step's chunks: the protocol of a backend, and the backend over transformers modules.

`NativeSpans` (`native.py`) is the other one. A backend knows nothing of sampling or scheduling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.running import LayerCall
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.attention import ATTENTION_NAME, Segment, SpanAttention, states_entering
from adaptrix_core.engine.compute.compiled import CompiledLayers
from adaptrix_core.engine.compute.graphed import GraphedDecode
from adaptrix_core.engine.compute.newest_attention import NOT_ASKED, NewestAttention
from adaptrix_core.engine.compute.paged_library import paged_library
from adaptrix_core.engine.scheduling.scheduler import Chunk
from adaptrix_core.injection.injector import LayerInjector


class Spans(Protocol):
    """Runs consecutive spans on the same tokens."""

    def run(
        self,
        chunks: Sequence[Chunk],
        spans: Sequence[int],
        meanwhile: Callable[[], None],
        attention: NewestAttention | None,
    ) -> Tensor:
        """The states that leave the last of ``spans``, ``(1, tokens, hidden)``; keys, values and states are kept.

        meanwhile: called once, when everything is prepared and the layers are about to be computed. attention: to be
        filled in for the rows that it is of; None for no row.
        """


class ModuleSpans:
    """Spans over the modules of the loaded model, under the injector's hooks."""

    def __init__(self, base: BaseModel, cache: KVCache, injector: LayerInjector, call: LayerCall) -> None:
        """call: how a decoder layer is called, see `BaseModel.run_span`."""
        self._base = base
        self.call_layer = call
        self.library = paged_library(base, cache.block_size)
        self._cache = cache
        self._injector = injector
        self.graphed: GraphedDecode | None = None
        """Computes steps of one token per row, after `graph_decoding` was called."""
        base.module.set_attn_implementation(ATTENTION_NAME)

    def graph_decoding(self, max_rows: int, capture: bool = True) -> None:
        """Compute steps of one token per row in fixed shapes from now on; see `GraphedDecode`."""
        self.graphed = GraphedDecode(self._base, self._cache, self._injector, self._run_spans, max_rows, capture)

    def run(
        self,
        chunks: Sequence[Chunk],
        spans: Sequence[int],
        meanwhile: Callable[[], None],
        attention: NewestAttention | None,
    ) -> Tensor:
        """See `Spans.run`. A step with a row that asks for attention is not computed as a CUDA graph."""
        meanwhile()
        hidden = self._run_graphed(chunks, spans) if attention is None else None
        return self._run_packed(chunks, spans, attention) if hidden is None else hidden

    def _run_graphed(self, chunks: Sequence[Chunk], spans: Sequence[int]) -> Tensor | None:
        if self.graphed is None or len(spans) < len(self._cache.spans) or any(chunk.count > 1 for chunk in chunks):
            return None
        if isinstance(self.call_layer, CompiledLayers) and self.call_layer.state == "compiling":
            return None  # a graph captured now would keep the uncompiled layers
        return self.graphed.run(chunks)

    def _run_packed(self, chunks: Sequence[Chunk], spans: Sequence[int], attention: NewestAttention | None) -> Tensor:
        device = self._base.device
        places = [(c.row, p) for c in chunks for p in range(c.start, c.start + c.count)]
        positions = torch.tensor([[place for _, place in places]], device=device)
        asked = [NOT_ASKED if attention is None else attention.place(c) for c in chunks]
        segments = [Segment(c.row.tables, c.start, c.count, place) for c, place in zip(chunks, asked, strict=True)]
        with self._injector.step([row.mix_at(place) for row, place in places]):
            if spans[0] == 0:
                token_ids = torch.tensor([[row.tokens[place] for row, place in places]], device=device)
                hidden = self._base.embed(token_ids, positions)
            else:
                hidden = states_entering(self._cache, spans[0], segments)

            def attention_of(span: int) -> SpanAttention:
                return SpanAttention.of_segments(self._cache, span, segments, self.library, attention)

            return self._run_spans(hidden, positions, spans, attention_of)

    def _run_spans(
        self, hidden: Tensor, positions: Tensor, spans: Sequence[int], attention_of: Callable[[int], SpanAttention]
    ) -> Tensor:
        rotary = self._base.rotary(hidden, positions)
        for number in spans:
            attention = attention_of(number)
            hidden = self._base.run_span(
                self._cache.spans[number], hidden, positions, rotary, attention, self.call_layer
            )
            attention.keep_states(hidden)
        return hidden
