"""How the newest tokens of some rows attend, noted while a step runs the middle layers, for the rows that ask.

Backends fill it in: the native kernels by its address (`native.py`), the modules' attention by `note`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptrix_core.confidence.evidence import TokenAttention, middle_layers
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.scheduling.scheduler import Batch, Chunk

NOT_ASKED = -1
"""In the place of a token's row: nobody asks how the token attends."""


class NewestAttention:
    """The attention of one step."""

    def __init__(self, rows: Sequence[Row], num_layers: int, num_heads: int) -> None:
        """rows: those that ask, each with its newest token in the step."""
        self.layers = middle_layers(num_layers)
        self.values: NDArray[np.float32] = np.full((len(self.layers), len(rows), num_heads, 2), np.nan, np.float32)
        """By layer, row and head: the weight on the token before the newest, and the entropy in nats. NaN: unknown."""
        self._places = {id(row): place for place, row in enumerate(rows)}

    @classmethod
    def of(cls, batch: Batch, num_layers: int, num_heads: int) -> NewestAttention | None:
        """For a step; None where no row asks."""
        rows = [c.row for c in batch.chunks if c.reaches_end and c.row.request.params.attention]
        return cls(rows, num_layers, num_heads) if rows else None

    def place(self, chunk: Chunk) -> int:
        """The place of the chunk's row where the chunk ends in its newest token; else `NOT_ASKED`."""
        return self._places.get(id(chunk.row), NOT_ASKED) if chunk.reaches_end else NOT_ASKED

    def places(self, chunks: Sequence[Chunk]) -> NDArray[np.int32]:
        """The place of every token of a packed batch, ``(tokens,)``; `NOT_ASKED` for all but newest ones."""
        counts = [chunk.count for chunk in chunks]
        places = np.full(sum(counts), NOT_ASKED, np.int32)
        places[np.cumsum(counts) - 1] = [self.place(chunk) for chunk in chunks]
        return places

    def note(
        self, layer: int, place: int, query: Tensor, keys: Tensor, scaling: float, window: int | None, cap: float | None
    ) -> None:
        """Compute how a newest token attends in a middle layer.

        query: ``(heads, head_dim)``; keys: of all tokens up to its own, ``(context, kv_heads, head_dim)``.
        """
        if layer not in self.layers:
            return
        seen = keys if window is None else keys[-window:]
        grouped = query.view(seen.shape[1], -1, query.shape[-1]).float()
        scores = torch.einsum("kgd,ckd->kgc", grouped, seen.float()).flatten(0, 1) * scaling
        weights = (scores if cap is None else torch.tanh(scores / cap) * cap).softmax(-1)
        before = weights[:, -2] if weights.shape[1] > 1 else torch.zeros(len(weights))
        entropy = torch.special.entr(weights).sum(-1)
        self.values[layer - self.layers.start, place] = torch.stack([before.cpu(), entropy.cpu()], -1).numpy()

    def told(self, row: Row) -> TokenAttention | None:
        """For a row; None where it does not ask."""
        place = self._places.get(id(row))
        if place is None:
            return None
        return TokenAttention(self.values[:, place, :, 0].copy(), self.values[:, place, :, 1].copy())
