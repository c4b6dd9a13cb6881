"""Paged keys and values: fixed-size blocks, one pool and one block table per layer span.

A *span* is a contiguous range of layers. A row holds one block table per span, so that spans can later be shared or
dropped independently of each other. This file owns the memory and its accounting; it computes nothing. Engine thread
only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel

BlockTables = list[list[int]]
"""A row's block ids, by span."""


class KVCache:
    """Blocks of ``block_size`` tokens for every span."""

    def __init__(self, base: BaseModel, spans: Sequence[range], num_blocks: int, block_size: int) -> None:
        info = base.info
        self.spans = tuple(spans)
        self.num_blocks = num_blocks
        self.block_size = block_size
        self._free = [list(range(num_blocks)) for _ in self.spans]
        shape = (num_blocks * block_size, info.num_kv_heads, info.head_dim)
        layers = [layer for span in self.spans for layer in span]
        self.keys = {layer: torch.zeros(shape, dtype=base.dtype, device=base.device) for layer in layers}
        self.values = {layer: torch.zeros(shape, dtype=base.dtype, device=base.device) for layer in layers}

    @property
    def capacity_tokens(self) -> int:
        """Tokens of one row that fit when it is alone."""
        return self.num_blocks * self.block_size

    @property
    def num_free_blocks(self) -> int:
        """Blocks left in the fullest span."""
        return min(len(free) for free in self._free)

    def empty_tables(self) -> BlockTables:
        """The tables of a row that holds nothing."""
        return [[] for _ in self.spans]

    def extend(self, tables: BlockTables, num_tokens: int) -> bool:
        """Grow ``tables`` to hold ``num_tokens`` tokens in every span; False, changing nothing, if blocks are short."""
        wanted = -(-num_tokens // self.block_size)
        missing = [max(0, wanted - len(table)) for table in tables]
        if any(need > len(free) for need, free in zip(missing, self._free, strict=True)):
            return False
        for table, need, free in zip(tables, missing, self._free, strict=True):
            table.extend(free.pop() for _ in range(need))
        return True

    def release(self, tables: BlockTables) -> None:
        """Give all blocks of ``tables`` back and empty them."""
        for table, free in zip(tables, self._free, strict=True):
            free.extend(table)
            table.clear()

    def slots(self, table: Sequence[int], num_tokens: int) -> Tensor:
        """Where a row's first ``num_tokens`` tokens lie in the pool of the table's span, ``(num_tokens,)`` int64."""
        blocks = torch.tensor(table, dtype=torch.long, device=self._device)
        offsets = torch.arange(self.block_size, device=self._device)
        return (blocks[:, None] * self.block_size + offsets).flatten()[:num_tokens]

    def check_integrity(self, held: Iterable[BlockTables]) -> list[str]:
        """Faults in the accounting: every block is free or held by exactly one row. An empty list is good."""
        rows = list(held)
        faults = []
        for span, (layers, free) in enumerate(zip(self.spans, self._free, strict=True)):
            used = [block for tables in rows for block in tables[span]]
            everything = sorted(used + free)
            if everything != list(range(self.num_blocks)):
                faults.append(
                    f"layers {layers.start}-{layers.stop - 1}: {len(used)} blocks held and {len(free)} free "
                    f"do not make up {self.num_blocks}"
                )
        return faults

    @property
    def _device(self) -> torch.device:
        return self.keys[self.spans[0].start].device
