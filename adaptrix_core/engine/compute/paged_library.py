"""Attention over the paged cache through FlashInfer, on CUDA devices that have it.

One call serves all rows of a step, decoding or prefilling, straight from the cache's blocks: nothing is gathered or
padded. (flash-attn reads paged keys only in blocks of 256 tokens; the cache's blocks are small, so that prompts with
equal beginnings share them.)
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from adaptrix_core.base.model import BaseModel

_WORKSPACE_BYTES = 128 * 1024**2
"""Bytes of FlashInfer's workspace for split sums, as it recommends."""
_HEAD_DIMS = (64, 128, 256)
_DTYPES = (torch.bfloat16, torch.float16)


@dataclass(frozen=True, eq=False)
class Pages:
    """Places of a step's queries and of their rows' keys, in FlashInfer's form: int32, in host memory."""

    query_starts: Tensor
    """First token of each segment in the packed batch, and their number, ``(segments + 1,)``."""
    block_starts: Tensor
    """First entry of each segment in ``blocks``, and their number, ``(segments + 1,)``."""
    blocks: Tensor
    """Block ids of every segment's context."""
    last_lengths: Tensor
    """Tokens in each segment's last block, ``(segments,)``."""


def pages_of(
    tables: Sequence[Sequence[int]], contexts: Sequence[int], lengths: Sequence[int], block_size: int
) -> Pages:
    """Segment ``i`` is the last ``lengths[i]`` of ``contexts[i]`` tokens, which lie in the blocks ``tables[i]``."""
    used = [list(table[: -(-context // block_size)]) for table, context in zip(tables, contexts, strict=True)]

    def starts(counts: Sequence[int]) -> Tensor:
        return torch.tensor([0, *accumulate(counts)], dtype=torch.int32)

    return Pages(
        starts(lengths),
        starts([len(blocks) for blocks in used]),
        torch.tensor([block for blocks in used for block in blocks], dtype=torch.int32),
        torch.tensor([(context - 1) % block_size + 1 for context in contexts], dtype=torch.int32),
    )


class FlashInferAttention:
    """Plans a step once for each kind of attention among its layers, then runs every layer on its plan."""

    def __init__(self, base: BaseModel, block_size: int) -> None:
        self._info = base.info
        self._dtype = base.dtype
        self._block_size = block_size
        self._library = importlib.import_module("flashinfer")
        self._workspace = torch.empty(_WORKSPACE_BYTES, dtype=torch.uint8, device=base.device)
        self._planned: dict[tuple[float, int | None, float | None], tuple[Any, Pages]] = {}

    def attend(
        self,
        pages: Pages,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        scaling: float,
        window: int | None,
        cap: float | None,
    ) -> Tensor:
        """query: ``(tokens, heads, head_dim)``; keys, values: the layer's cache ``(slots, kv_heads, head_dim)``."""
        wrapper = self._wrapper(pages, scaling, window, cap)
        blocks = tuple(tensor.unflatten(0, (-1, self._block_size)) for tensor in (keys, values))
        output: Tensor = wrapper.run(query, blocks)
        return output

    def _wrapper(self, pages: Pages, scaling: float, window: int | None, cap: float | None) -> Any:
        how = (scaling, window, cap)
        wrapper, planned = self._planned.get(how, (None, None))
        if wrapper is None:
            wrapper = self._library.BatchPrefillWithPagedKVCacheWrapper(self._workspace, "NHD")
        if planned is not pages:
            wrapper.plan(
                pages.query_starts,
                pages.block_starts,
                pages.blocks,
                pages.last_lengths,
                self._info.num_heads,
                self._info.num_kv_heads,
                self._info.head_dim,
                self._block_size,
                causal=True,
                sm_scale=scaling,
                # FlashInfer counts the keys before the token itself, transformers' window counts the token too.
                window_left=-1 if window is None else window - 1,
                logits_soft_cap=cap,
                q_data_type=self._dtype,
            )
            self._planned[how] = (wrapper, pages)
        return wrapper


def paged_library(base: BaseModel, block_size: int) -> FlashInferAttention | None:
    """FlashInfer where it is installed and computes this model's number format and head size; None elsewhere."""
    if base.device.type != "cuda" or base.dtype not in _DTYPES or base.info.head_dim not in _HEAD_DIMS:
        return None
    if torch.cuda.get_device_capability(base.device) < (8, 0) or importlib.util.find_spec("flashinfer") is None:
        return None
    return FlashInferAttention(base, block_size)
