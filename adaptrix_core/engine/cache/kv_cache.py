"""Paged keys and values: fixed-size blocks, one pool and one block table per layer span.

A *span* is a contiguous range of layers. A row holds one block table per span, and rows may hold the same block, so the
common beginning of two rows exists once below the cut. Beside the keys and values of its layers a span keeps the states
that leave it, so that a row can go on from there with other layers. This file owns the memory and its accounting; it
computes nothing. Engine thread only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.cache.blocks import BlockPool

BlockTables = list[list[int]]
"""A row's block ids, by span."""


class KVCache:
    """Blocks of ``block_size`` tokens for every span."""

    def __init__(self, base: BaseModel, spans: Sequence[range], num_blocks: int, block_size: int) -> None:
        info = base.info
        self.spans = tuple(spans)
        self.num_blocks = num_blocks
        self.block_size = block_size
        self.pools = tuple(BlockPool(num_blocks) for _ in self.spans)
        self.scratch_block = num_blocks
        """The block of every span that padding is written to: no row holds it, none reads it."""
        slots = (num_blocks + 1) * block_size
        shape = (slots, info.num_kv_heads, info.head_dim)
        layers = [layer for span in self.spans for layer in span]
        self.keys = {layer: torch.zeros(shape, dtype=base.kv_dtype, device=base.device) for layer in layers}
        self.values = {layer: torch.zeros(shape, dtype=base.kv_dtype, device=base.device) for layer in layers}
        self.states = tuple(
            torch.zeros((slots, info.hidden_size), dtype=base.dtype, device=base.device) for _ in self.spans[:-1]
        )
        """States leaving each span but the last, ``(slots, hidden)``."""

    @property
    def capacity_tokens(self) -> int:
        """Tokens of one row that fit when it is alone."""
        return self.num_blocks * self.block_size

    @property
    def num_free_blocks(self) -> int:
        """Blocks that no row holds in the fullest span."""
        return min(pool.num_idle for pool in self.pools)

    def empty_tables(self) -> BlockTables:
        """The tables of a row that holds nothing."""
        return [[] for _ in self.spans]

    def extend(self, tables: BlockTables, num_tokens: int) -> bool:
        """Grow ``tables`` to hold ``num_tokens`` tokens in every span; False, changing nothing, if blocks are short."""
        wanted = -(-num_tokens // self.block_size)
        missing = [max(0, wanted - len(table)) for table in tables]
        if any(need > pool.num_idle for need, pool in zip(missing, self.pools, strict=True)):
            return False
        for table, need, pool in zip(tables, missing, self.pools, strict=True):
            table.extend(pool.allocate(need))
        return True

    def release(self, tables: BlockTables) -> None:
        """Let go of all blocks of ``tables`` and empty them; a row's last block is given out again before its first."""
        for table, pool in zip(tables, self.pools, strict=True):
            pool.release(table)

    def slots(self, table: Sequence[int], num_tokens: int) -> Tensor:
        """Slots of a row's first ``num_tokens`` tokens in the pool of the table's span, ``(num_tokens,)`` int64."""
        blocks = torch.tensor(table, dtype=torch.long, device=self._device)
        offsets = torch.arange(self.block_size, device=self._device)
        return (blocks[:, None] * self.block_size + offsets).flatten()[:num_tokens]

    def copy(self, span: int, source: int, target: int, count: int) -> None:
        """Copy the first ``count`` tokens of one block of ``span`` into another."""
        here = slice(source * self.block_size, source * self.block_size + count)
        there = slice(target * self.block_size, target * self.block_size + count)
        kept = [tensors[layer] for layer in self.spans[span] for tensors in (self.keys, self.values)]
        for tensor in (*kept, *self.states[span : span + 1]):
            tensor[there] = tensor[here]

    def check_integrity(self, held: Iterable[BlockTables]) -> list[str]:
        """Faults in the accounting (a block is idle, or held by as many rows as it counts); an empty list is good."""
        rows = list(held)
        return [
            f"layers {layers.start}-{layers.stop - 1}: {fault}"
            for number, (layers, pool) in enumerate(zip(self.spans, self.pools, strict=True))
            for fault in pool.faults([block for tables in rows for block in tables[number]])
        ]

    @property
    def _device(self) -> torch.device:
        return self.keys[self.spans[0].start].device
