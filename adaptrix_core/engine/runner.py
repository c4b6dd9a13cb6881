"""One step of computation: a batch of chunks in, the next token of every row that reached its end out.

The runner packs the chunks into one sequence, runs the base model span by span under the injector, and samples. It
keeps no state between steps beyond counters. Engine thread only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.attention import ATTENTION_NAME, Segment, SpanAttention
from adaptrix_core.engine.kv_cache import KVCache
from adaptrix_core.engine.sampler import Sampled, sample
from adaptrix_core.engine.scheduler import Batch
from adaptrix_core.injection.injector import LayerInjector


class Runner:
    """Runs batches on one base model with one cache."""

    def __init__(self, base: BaseModel, cache: KVCache, injector: LayerInjector) -> None:
        self._base = base
        self._cache = cache
        self._injector = injector
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
        device = self._base.device
        tokens = [t for c in batch.chunks for t in c.row.tokens[c.start : c.start + c.count]]
        places = [p for c in batch.chunks for p in range(c.start, c.start + c.count)]
        mixes = [c.row.mix_at(p) for c in batch.chunks for p in range(c.start, c.start + c.count)]
        segments = [Segment(c.row.tables, c.start, c.count) for c in batch.chunks]
        token_ids = torch.tensor([tokens], device=device)
        positions = torch.tensor([places], device=device)
        with self._injector.step(mixes):
            hidden = self._base.embed(token_ids, positions)
            rotary = self._base.rotary(hidden, positions)
            for number, span in enumerate(self._cache.spans):
                attention = SpanAttention(self._cache, number, segments)
                hidden = self._base.run_span(span, hidden, positions, rotary, attention)
                self.layer_tokens[number] += len(span) * len(tokens)
        return hidden[0]

    def _collect_prompt_logits(self, batch: Batch, hidden: Tensor) -> None:
        offset = 0
        for chunk in batch.chunks:
            if chunk.row.prompt_logits is not None:
                states = hidden[offset : offset + chunk.count]
                chunk.row.prompt_logits.append(self._base.head(states).float())
            offset += chunk.count


def _last_positions(batch: Batch) -> list[int]:
    """Index in the packed batch of each chunk's last token."""
    ends, offset = [], 0
    for chunk in batch.chunks:
        offset += chunk.count
        ends.append(offset - 1)
    return ends
