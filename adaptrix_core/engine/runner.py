"""One step of computation: a batch of chunks in, the next token of every row that reached its end out.

The runner packs the chunks into one sequence, runs the base model span by span under the injector, and samples. It
keeps no state between steps beyond counters. Engine thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.running import LayerCall, call_directly
from adaptrix_core.engine.attention import ATTENTION_NAME, Segment, SpanAttention, states_entering
from adaptrix_core.engine.kv_cache import KVCache
from adaptrix_core.engine.paged_library import paged_library
from adaptrix_core.engine.sampler import Sampled, sample
from adaptrix_core.engine.scheduler import Batch, Chunk
from adaptrix_core.injection.injector import LayerInjector


class Runner:
    """Runs batches on one base model with one cache."""

    def __init__(
        self, base: BaseModel, cache: KVCache, injector: LayerInjector, call: LayerCall = call_directly
    ) -> None:
        """call: how a decoder layer is called, see `BaseModel.run_span`."""
        self._base = base
        self.call_layer = call
        self._cache = cache
        self._injector = injector
        self.library = paged_library(base, cache.block_size)
        self.layer_tokens = [0 for _ in cache.spans]
        """Layers times tokens computed so far, by span."""
        base.module.set_attn_implementation(ATTENTION_NAME)

    @torch.inference_mode()
    def run(self, batch: Batch) -> list[Sampled | None]:
        """Compute a batch; for each chunk the sampled token, or None where the row's end is not reached."""
        hidden = self._forward(batch)
        self._collect_prompt_logits(batch, hidden)
        sampled: list[Sampled | None] = [None] * len(batch.chunks)
        ends = _last_positions(batch)
        wanted = [i for i, chunk in enumerate(batch.chunks) if chunk.reaches_end and chunk.row.max_tokens > 0]
        if wanted:
            logits = self._base.head(hidden[[ends[i] for i in wanted]])
            for i, result in zip(wanted, sample(logits, [batch.chunks[i].row for i in wanted]), strict=True):
                sampled[i] = result
        return sampled

    def _forward(self, batch: Batch) -> Tensor:
        """States leaving the last layer, ``(tokens, hidden)``."""
        hidden = torch.empty(0)
        for chunks, spans in _passes(batch, len(self._cache.spans)):
            hidden = self._run_pass(chunks, spans)
        return hidden[0]

    def _run_pass(self, chunks: Sequence[Chunk], spans: Sequence[int]) -> Tensor:
        """Run consecutive spans on the same tokens; the states that leave the last of them, ``(1, tokens, hidden)``."""
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
                span = self._cache.spans[number]
                attention = SpanAttention(self._cache, number, segments, self.library)
                hidden = self._base.run_span(span, hidden, positions, rotary, attention, self.call_layer)
                attention.keep_states(hidden)
                self.layer_tokens[number] += len(span) * len(places)
        return hidden

    def _collect_prompt_logits(self, batch: Batch, hidden: Tensor) -> None:
        offset = 0
        for chunk in batch.chunks:
            if chunk.row.prompt_logits is not None:
                states = hidden[offset : offset + chunk.count]
                chunk.row.prompt_logits.append(self._base.head(states).float())
            offset += chunk.count


def _passes(batch: Batch, num_spans: int) -> list[tuple[tuple[Chunk, ...], list[int]]]:
    """What each span computes, and which consecutive spans compute the same.

    A row whose lower spans were taken over from another row computes more tokens in the upper ones.
    """
    work = [tuple(part for chunk in batch.chunks if (part := _uncomputed(chunk, span))) for span in range(num_spans)]
    passes = [(chunks, list(spans)) for chunks, spans in groupby(range(num_spans), key=lambda span: work[span])]
    return [(chunks, spans) for chunks, spans in passes if chunks]


def _uncomputed(chunk: Chunk, span: int) -> Chunk | None:
    """The part of a chunk that a span has not computed yet."""
    start, end = max(chunk.start, chunk.row.computed[span]), chunk.start + chunk.count
    return Chunk(chunk.row, start, end - start) if end > start else None


def _last_positions(batch: Batch) -> list[int]:
    """Index in the packed batch of each chunk's last token."""
    ends, offset = [], 0
    for chunk in batch.chunks:
        offset += chunk.count
        ends.append(offset - 1)
    return ends
