"""Spans of layers over packed weights: one call of the kernels for all of a step's spans that compute the same tokens.

Geometry (rows, positions, block tables) and adapters are passed to the kernels as arrays that are made once per step;
there is no Python work per token or per layer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptrix_core.base.packed_model import PackedModel, matrix_struct
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.newest_attention import NewestAttention
from adaptrix_core.engine.scheduling.scheduler import Chunk
from adaptrix_core.injection.backends.native import NativeInjector
from adaptrix_core.injection.backends.native_runs import MixRun
from adaptrix_core.injection.mix import mix_runs
from adaptrix_core.native import library, structs

_MATRICES = ("qkv", "o", "gate_up", "down")
_VECTORS = ("input_norm", "post_norm", "qkv_bias", "q_norm", "k_norm")


class NativeSpans:
    """See `Spans` in `spans.py`."""

    def __init__(self, base: PackedModel, cache: KVCache, injector: NativeInjector) -> None:
        self._base = base
        self._cache = cache
        self._injector = injector
        self._library = library()
        self._layers = (structs.Layer * base.info.num_layers)(
            *(_layer(base, cache, index) for index in range(base.info.num_layers))
        )
        self._stack = self._library.adaptrix_stack_new(ctypes.byref(_model(base, cache, self._layers)))
        self._cosine, self._sine = base.rotary_table(256)

    def __del__(self) -> None:
        if hasattr(self, "_stack"):
            self._library.adaptrix_stack_free(self._stack)

    def run(
        self,
        chunks: Sequence[Chunk],
        spans: Sequence[int],
        meanwhile: Callable[[], None],
        attention: NewestAttention | None,
    ) -> Tensor:
        """See `Spans.run`."""
        counts = [chunk.count for chunk in chunks]
        positions = np.concatenate([np.arange(c.start, c.start + c.count, dtype=np.int32) for c in chunks])
        rows = np.repeat(np.arange(len(chunks), dtype=np.int32), counts)
        longest = max(chunk.start + chunk.count for chunk in chunks)
        cosine, sine = self._rotary(longest)
        plan = self._injector.plan(_mix_runs(chunks))
        if spans[0] == 0:
            hidden = self._base.embed(_token_ids(chunks), torch.from_numpy(positions))
        else:
            below = self._slots(spans[0] - 1, chunks, rows, positions)
            hidden = self._cache.states[spans[0] - 1].index_select(0, below)[None]
        tables = [_tables(chunks, number) for number in spans]
        places = (structs.Places * len(spans))(*(self._places(*pair) for pair in zip(spans, tables, strict=True)))
        step = structs.Step(
            tokens=len(positions),
            first_layer=self._cache.spans[spans[0]].start,
            last_layer=self._cache.spans[spans[-1]].stop,
            threads=torch.get_num_threads(),
            hidden=hidden.data_ptr(),
            cosine=cosine.data_ptr(),
            sine=sine.data_ptr(),
            rows=rows.ctypes.data,
            positions=positions.ctypes.data,
            places=ctypes.addressof(places),
            longest=longest,
            terms=plan.terms.ctypes.data,
            term_starts=plan.starts.ctypes.data,
            gates=plan.gates.ctypes.data,
            gate_starts=plan.gate_starts.ctypes.data,
        )
        if attention is not None:
            asked = attention.places(chunks)
            step.attention_rows, step.attention = asked.ctypes.data, attention.values.ctypes.data
            step.first_told, step.last_told = attention.layers.start, attention.layers.stop
            step.rows_told = attention.values.shape[1]
        meanwhile()
        self._library.adaptrix_stack_run(self._stack, ctypes.byref(step))
        return hidden

    def _places(self, span: int, tables: NDArray[np.int32]) -> ctypes.Structure:
        states = self._cache.states[span].data_ptr() if span < len(self._cache.states) else None
        end = self._cache.spans[span].stop
        return structs.Places(end=end, tables=tables.ctypes.data, stride=tables.shape[1], states=states)

    def _rotary(self, length: int) -> tuple[Tensor, Tensor]:
        if length > len(self._cosine):
            wanted = min(2 * length, self._base.info.context_length)
            self._cosine, self._sine = self._base.rotary_table(max(length, wanted))
        return self._cosine, self._sine

    def _slots(
        self, span: int, chunks: Sequence[Chunk], rows: NDArray[np.int32], positions: NDArray[np.int32]
    ) -> Tensor:
        """Slots of the tokens in a span's pool, ``(tokens,)`` int64."""
        size = self._cache.block_size
        blocks = _tables(chunks, span)[rows, positions // size].astype(np.int64)
        return torch.from_numpy(blocks * size + positions % size)


def _token_ids(chunks: Sequence[Chunk]) -> Tensor:
    return torch.tensor(list(chain.from_iterable(c.row.tokens[c.start : c.start + c.count] for c in chunks)))


def _mix_runs(chunks: Sequence[Chunk]) -> list[MixRun]:
    runs, at = [], 0
    for chunk in chunks:
        for mix, count in mix_runs(chunk.row.schedule, chunk.start, chunk.start + chunk.count):
            if mix:
                runs.append(MixRun(mix, at, count))
            at += count
    return runs


def _tables(chunks: Sequence[Chunk], span: int) -> NDArray[np.int32]:
    """Block ids of every chunk's row, ``(chunks, longest table)``."""
    tables = [chunk.row.tables[span] for chunk in chunks]
    lengths = np.array([len(table) for table in tables])
    made = np.zeros((len(tables), lengths.max()), np.int32)
    made[np.arange(made.shape[1]) < lengths[:, None]] = list(chain.from_iterable(tables))
    return made


def _layer(base: PackedModel, cache: KVCache, index: int) -> ctypes.Structure:
    matrices, vectors = base.weights.matrices, base.weights.vectors
    return structs.Layer(
        **{name: matrix_struct(matrices[f"layers.{index}.{name}"]) for name in _MATRICES},
        **{name: vectors[key].data_ptr() for name in _VECTORS if (key := f"layers.{index}.{name}") in vectors},
        keys=cache.keys[index].data_ptr(),
        values=cache.values[index].data_ptr(),
        window=base.window(index) or 0,
    )


def _model(base: PackedModel, cache: KVCache, layers: ctypes.Array[ctypes.Structure]) -> ctypes.Structure:
    info, config = base.info, base.module.config
    return structs.Model(
        hidden=info.hidden_size,
        heads=info.num_heads,
        kv_heads=info.num_kv_heads,
        head_dim=info.head_dim,
        inner=config.intermediate_size,
        num_layers=info.num_layers,
        eps=config.rms_norm_eps,
        scale=info.head_dim**-0.5,
        layers=ctypes.addressof(layers),
        block_size=cache.block_size,
    )
