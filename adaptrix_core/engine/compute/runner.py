"""One step of computation: a batch of chunks in, the next token of every row that reached its end out.

The runner lets a backend (`spans.py`) run the base model's spans on the chunks that need them, and samples. It keeps no
state between steps but counters. Engine thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.newest_attention import NewestAttention
from adaptrix_core.engine.compute.spans import Spans
from adaptrix_core.engine.groups.sampling import sample_together
from adaptrix_core.engine.rows.sampler import Sampled, Unsampled, sample
from adaptrix_core.engine.scheduling.scheduler import Batch, Chunk

SCORED_AT_ONCE = 64
"""Tokens of a prompt whose logits are made at once while it is scored, so that a caller cannot ask for a gigabyte:
with a vocabulary of 256 000 tokens they are 65 MB."""


class Runner:
    """Runs batches on one base model with one cache."""

    def __init__(self, base: BaseModel, cache: KVCache, spans: Spans) -> None:
        self._base = base
        self._cache = cache
        self.spans = spans
        self.layer_tokens = [0 for _ in cache.spans]
        """Layers times tokens computed so far, by span."""

    @torch.inference_mode()
    def run(self, batch: Batch, meanwhile: Callable[[], None]) -> list[Sampled | Unsampled | None]:
        """Compute a batch; for each chunk the sampled token, or None where the row's end is not reached.

        Safe to repeat after an error: computing the same chunks again overwrites everything that was written.
        meanwhile: called once, when the layers are to be computed.
        """
        info = self._base.info
        attention = NewestAttention.of(batch, info.num_layers, info.num_heads)
        hidden = self._forward(batch, meanwhile, attention)  # of the chunks that are not in the trunk, if there are any
        sampled: list[Sampled | Unsampled | None] = [None] * len(batch.chunks)
        ends = _last_positions(batch)
        wanted = [i for i, chunk in enumerate(batch.chunks) if chunk.reaches_end and chunk.row.max_tokens > 0]
        if wanted:
            # In most steps every token is a row's last one.
            states = hidden if len(wanted) == len(hidden) else hidden[[ends[i] for i in wanted]]
            logits = self._base.head(states)
            rows = [batch.chunks[i].row for i in wanted]
            choose = sample if all(row.ensemble is None for row in rows) else sample_together
            for i, result in zip(wanted, choose(logits, rows), strict=True):
                sampled[i] = result
                if attention is not None and isinstance(result, Sampled):
                    sampled[i] = replace(result, attention=attention.told(batch.chunks[i].row))
        self._score_prompts(batch, hidden)
        return sampled

    def _forward(self, batch: Batch, meanwhile: Callable[[], None], attention: NewestAttention | None) -> Tensor:
        """States leaving the last layer, ``(tokens, hidden)``."""
        hidden = torch.empty(0)
        for chunks, spans in _passes(batch, len(self._cache.spans)):
            hidden = self.spans.run(chunks, spans, meanwhile, attention)
            meanwhile = nothing
            for number in spans:
                self.layer_tokens[number] += len(self._cache.spans[number]) * hidden.shape[1]
        return hidden[0]

    def _score_prompts(self, batch: Batch, hidden: Tensor) -> None:
        """Give the logits of prompts' tokens to the rows that ask for them."""
        offset = 0
        for chunk in batch.chunks:
            row = chunk.row
            if chunk.in_trunk:
                continue
            if row.computes_whole_prompt:
                for start in range(0, chunk.count, SCORED_AT_ONCE):
                    stop = min(start + SCORED_AT_ONCE, chunk.count)
                    logits = self._base.head(hidden[offset + start : offset + stop])
                    if row.prompt_logits is not None:
                        row.prompt_logits.append(logits.float())
                    if row.prompt_logprobs is not None:
                        row.prompt_logprobs.add(chunk.start + start, logits)
            offset += chunk.count


def nothing() -> None:
    """Do nothing: the default of ``meanwhile``."""


def _passes(batch: Batch, num_spans: int) -> list[tuple[tuple[Chunk, ...], list[int]]]:
    """(chunks, spans) in order: the chunks that these consecutive spans have to compute.

    A row whose lower spans were taken over from another row computes more tokens in the upper ones.
    """
    work = [tuple(part for chunk in batch.chunks if (part := _uncomputed(chunk, span))) for span in range(num_spans)]
    passes = [(chunks, list(spans)) for chunks, spans in groupby(range(num_spans), key=lambda span: work[span])]
    return [(chunks, spans) for chunks, spans in passes if chunks]


def _uncomputed(chunk: Chunk, span: int) -> Chunk | None:
    """The part of a chunk that a span has not computed yet, and is to compute."""
    if chunk.in_trunk and span:
        return None
    start, end = max(chunk.start, chunk.row.computed[span]), chunk.start + chunk.count
    return Chunk(chunk.row, start, end - start) if end > start else None


def _last_positions(batch: Batch) -> list[int]:
    """Index in the packed batch that leaves the last layer of each chunk's last token."""
    ends, offset = [], 0
    for chunk in batch.chunks:
        offset += 0 if chunk.in_trunk else chunk.count
        ends.append(offset - 1)
    return ends
