"""Attention over paged keys and values, for a packed batch of rows.

Registered with transformers' attention interface under the name ``adaptrix_paged``; every layer of every family calls
it once, with the step's geometry in `running.paged`. Honours scaling, sliding windows and softcaps. Query
heads of a key/value group are folded into the query length, which avoids the cost of repeating keys for grouped heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AttentionInterface

from adaptrix_core.base.running import running
from adaptrix_core.engine.cache.kv_cache import BlockTables, KVCache
from adaptrix_core.engine.compute.newest_attention import NOT_ASKED, NewestAttention
from adaptrix_core.engine.compute.paged_library import FlashInferAttention, pages_of

ATTENTION_NAME = "adaptrix_paged"


@dataclass(frozen=True)
class Segment:
    """Consecutive tokens of one row inside the packed batch."""

    tables: BlockTables
    start: int
    """Position in the row of the segment's first token."""
    length: int
    asked: int = NOT_ASKED
    """The place in the step's `NewestAttention` for its last token."""

    @property
    def context(self) -> int:
        """Tokens of the row that exist once the segment is computed."""
        return self.start + self.length


@dataclass(frozen=True)
class _Part:
    """Segments attended to together: one long one, or all segments of a single token."""

    tokens: slice | Tensor
    """Indices of their queries in the packed batch."""
    rows: int
    length: int
    slots: Tensor
    """Cache slots of the context, ``(rows, context)`` int64, padded with the row's own first slot: a masked slot has
    weight 0, and 0 times another row's infinity would be NaN."""
    query_positions: Tensor
    """``(rows, length)``"""
    contexts: Tensor
    """Valid entries of each row of ``slots``, ``(rows, 1)``."""


@dataclass(frozen=True)
class _Asked:
    """A token of which somebody asks how it attends."""

    token: int
    """Its index in the packed batch."""
    place: int
    slots: Tensor
    """Cache slots of all tokens up to it, ``(context,)``."""


class SpanAttention:
    """Geometry of one step in one layer span: slots of the new keys, and the keys that each token sees."""

    def __init__(
        self,
        cache: KVCache,
        span: int,
        new_slots: Tensor,
        parts: Sequence[_Part],
        library: Callable[..., Tensor] | None = None,
        newest: NewestAttention | None = None,
        asked: Sequence[_Asked] = (),
    ) -> None:
        """new_slots: of every token of the packed batch, ``(tokens,)``. library: attends instead of torch's own.
        newest: gets how the tokens of ``asked`` attend.
        """
        self._cache = cache
        self._span = span
        self._new_slots = new_slots
        self._parts = parts
        self._library = library
        self._newest = newest
        self._asked = asked
        self._masks: dict[tuple[int, int | None], Tensor] = {}

    @classmethod
    def of_segments(
        cls,
        cache: KVCache,
        span: int,
        segments: Sequence[Segment],
        library: FlashInferAttention | None = None,
        newest: NewestAttention | None = None,
    ) -> SpanAttention:
        """The geometry of the packed batch of ``segments``, in order."""
        slots = [cache.slots(segment.tables[span], segment.context) for segment in segments]
        new_slots = torch.cat([s[segment.start :] for s, segment in zip(slots, segments, strict=True)])
        if library is None:
            return cls(cache, span, new_slots, _split(segments, slots), None, newest, _asked(segments, slots))
        tables, contexts = [s.tables[span] for s in segments], [s.context for s in segments]
        pages = pages_of(tables, contexts, [s.length for s in segments], cache.block_size)
        return cls(cache, span, new_slots, (), partial(library.attend, pages), newest, _asked(segments, slots))

    @classmethod
    def of_last_tokens(cls, cache: KVCache, span: int, tables: Tensor, positions: Tensor) -> SpanAttention:
        """The geometry of one token per row. Reads no value of the tensors: their shapes alone determine the
        computation.

        tables: the rows' block ids, ``(rows, blocks)`` int64; entries beyond a row's blocks name any block. positions:
        of the tokens, ``(rows,)`` int64.
        """
        rows, contexts = len(tables), positions[:, None] + 1
        offsets = torch.arange(cache.block_size, device=tables.device)
        slots = (tables[:, :, None] * cache.block_size + offsets).flatten(1)
        inside = torch.arange(slots.shape[1], device=tables.device) < contexts
        padded = torch.where(inside, slots, slots[:, :1])
        new_slots = slots.gather(1, positions[:, None])[:, 0]
        return cls(cache, span, new_slots, [_Part(slice(0, rows), rows, 1, padded, positions[:, None], contexts)])

    def attend(
        self,
        layer: int,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        window: int | None,
        cap: float | None,
    ) -> Tensor:
        """Store new keys and values, then attend.

        query: ``(tokens, heads, head_dim)``; key, value: ``(tokens, kv_heads, head_dim)``.
        Returns ``(tokens, heads, head_dim)``.
        """
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        keys.index_copy_(0, self._new_slots, key)
        values.index_copy_(0, self._new_slots, value)
        if self._newest is not None:
            for asked in self._asked:
                self._newest.note(layer, asked.place, query[asked.token], keys[asked.slots], scaling, window, cap)
        if self._library is not None:
            return self._library(query, keys, values, scaling, window, cap)
        output = torch.empty_like(query)
        for number, part in enumerate(self._parts):
            mask = self._mask(number, window)
            output[part.tokens] = _attend_part(part, query[part.tokens], keys, values, mask, scaling, cap)
        return output

    def keep_states(self, hidden: Tensor) -> None:
        """Store the states that leave the span, ``(1, tokens, hidden)``; those that leave the last one are not kept."""
        if self._span < len(self._cache.states):
            self._cache.states[self._span].index_copy_(0, self._new_slots, hidden[0])

    def _mask(self, number: int, window: int | None) -> Tensor:
        """The keys that each query sees, ``(rows, 1, length, context)`` bool."""
        if (number, window) not in self._masks:
            part = self._parts[number]
            positions = torch.arange(part.slots.shape[1], device=part.slots.device)
            queries = part.query_positions[:, :, None]
            visible = (positions <= queries) & (positions < part.contexts[:, :, None])
            if window is not None:
                visible &= positions > queries - window
            self._masks[number, window] = visible[:, None]
        return self._masks[number, window]


def states_entering(cache: KVCache, span: int, segments: Sequence[Segment]) -> Tensor:
    """The kept states of all tokens of ``segments`` that enter a span above the first, ``(1, tokens, hidden)``."""
    slots = [cache.slots(segment.tables[span - 1], segment.context)[segment.start :] for segment in segments]
    return cache.states[span - 1][torch.cat(slots)][None]


def _asked(segments: Sequence[Segment], slots: Sequence[Tensor]) -> list[_Asked]:
    """The last tokens of the segments of rows that ask."""
    ends = accumulate(segment.length for segment in segments)
    return [
        _Asked(end - 1, segment.asked, row_slots)
        for end, segment, row_slots in zip(ends, segments, slots, strict=True)
        if segment.asked != NOT_ASKED
    ]


def _split(segments: Sequence[Segment], slots: Sequence[Tensor]) -> list[_Part]:
    """One part for all single-token segments, one part for each longer one."""
    device = slots[0].device
    parts, singles, offset = [], [], 0
    for segment, row_slots in zip(segments, slots, strict=True):
        if segment.length == 1:
            singles.append((offset, segment, row_slots))
        else:
            positions = torch.arange(segment.start, segment.context, device=device)[None]
            contexts = torch.tensor([[segment.context]], device=device)
            parts.append(
                _Part(slice(offset, offset + segment.length), 1, segment.length, row_slots[None], positions, contexts)
            )
        offset += segment.length
    if singles:
        contexts = torch.tensor([[s.context] for _, s, _ in singles], device=device)
        longest = max(s.context for _, s, _ in singles)
        padded = torch.stack([torch.cat([r, r[:1].expand(longest - len(r))]) for _, _, r in singles])
        singles_at = torch.tensor([at for at, _, _ in singles], device=device)
        parts.append(_Part(singles_at, len(singles), 1, padded, contexts - 1, contexts))
    return parts


def _attend_part(
    part: _Part, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scaling: float, cap: float | None
) -> Tensor:
    """Attention of one part; query and result are ``(rows * length, heads, head_dim)``."""
    kv_heads, head_dim = keys.shape[1:]
    group = query.shape[1] // kv_heads
    # (rows * length, kv_heads * group, d) -> (rows, kv_heads, group * length, d)
    q = query.view(part.rows, part.length, kv_heads, group, head_dim).permute(0, 2, 3, 1, 4)
    q = q.reshape(part.rows, kv_heads, group * part.length, head_dim)
    k = keys[part.slots].transpose(1, 2)
    v = values[part.slots].transpose(1, 2)
    folded = mask.expand(-1, group, -1, -1).reshape(part.rows, 1, group * part.length, -1)
    if cap is None:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=folded, scale=scaling)
    else:
        scores = torch.tanh((q @ k.transpose(-1, -2)) * scaling / cap) * cap
        weights = scores.masked_fill(~folded, float("-inf")).softmax(-1, dtype=torch.float32)
        out = weights.to(v.dtype) @ v
    out = out.view(part.rows, kv_heads, group, part.length, head_dim).permute(0, 3, 1, 2, 4)
    return out.reshape(query.shape)


@torch.library.custom_op("adaptrix::paged_attention", mutates_args=())
def _attend(query: Tensor, key: Tensor, value: Tensor, scaling: float, window: int | None, cap: float | None) -> Tensor:
    """`SpanAttention.attend` of the running layer, as one opaque operator: compiled code sees no cache and no rows."""
    attended: Tensor = running.paged.attend(running.layer, query, key, value, scaling, window, cap)
    return attended


@_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, scaling: float, window: int | None, cap: float | None) -> Tensor:
    return torch.empty_like(query)


def _paged_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """transformers' attention signature: query ``(1, heads, tokens, d)`` -> output ``(1, tokens, heads, d)``."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    if torch.compiler.is_dynamo_compiling():
        return _attend(q.contiguous(), k, v, scale, sliding_window, softcap)[None], None
    assert running.paged is not None, "adaptrix_paged runs under the engine's runner only"
    return running.paged.attend(running.layer, q.contiguous(), k, v, scale, sliding_window, softcap)[None], None


AttentionInterface.register(ATTENTION_NAME, _paged_attention)
