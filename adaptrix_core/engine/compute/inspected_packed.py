"""The inspected run (`inspected.py`) over packed weights.

The kernels run the layers as they do for requests, over a cache of the run's own in which every layer is a span, so
that the states leaving each of them are kept, as are its keys. They keep no queries: these are computed once more, from
the states that enter a layer, by the same matrix, norm and rotation.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from adaptrix_core.base.families.parts import Q
from adaptrix_core.base.packed_model import PackedModel, matrix_struct
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.cache.kv_cache import KVCache
from adaptrix_core.engine.compute.inspected import AttentionInputs, InspectedRun
from adaptrix_core.engine.compute.native import NativeSpans
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.scheduling.scheduler import Chunk
from adaptrix_core.injection.backends.native import NativeInjector
from adaptrix_core.injection.gate import Gated
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.native import library

BLOCK_SIZE = 16


@torch.inference_mode()
def inspect_packed(base: PackedModel, injector: NativeInjector, row: Row, attention: bool) -> InspectedRun:
    """Run the prompt of ``row`` through the native kernels; its adapters are on the device."""
    length, depth = len(row.tokens), base.info.num_layers
    positions = torch.arange(length)
    entering = base.embed(torch.tensor([row.tokens]), positions[None])[0]
    cache = KVCache(base, [range(layer, layer + 1) for layer in range(depth)], -(-length // BLOCK_SIZE), BLOCK_SIZE)
    row.tables = cache.empty_tables()
    cache.extend(row.tables, length)
    last = NativeSpans(base, cache, injector).run([Chunk(row, 0, length)], range(depth), lambda: None, None)[0]
    slots = [cache.slots(table, length) for table in row.tables]
    states = torch.stack([*(kept[at] for kept, at in zip(cache.states, slots, strict=False)), last])
    recorded = []
    for layer in range(depth) if attention else ():
        query = _queries(base, layer, states[layer - 1] if layer else entering, row, injector.weights_of)
        key = cache.keys[layer][slots[layer]].float()
        recorded.append(AttentionInputs(query, key, base.info.head_dim**-0.5, base.window(layer), None))
    return InspectedRun(tuple(row.tokens), states, tuple(recorded))


def _queries(
    base: PackedModel, layer: int, entering: Tensor, row: Row, weights_of: Callable[[WeightsDigest], LoraWeights]
) -> Tensor:
    """The rotated queries of ``layer``, ``(tokens, heads, head_dim)``, from the states entering it."""
    vectors, eps = base.weights.vectors, base.module.config.rms_norm_eps
    matrix, norm = base.weights.matrices[f"layers.{layer}.qkv"], vectors[f"layers.{layer}.input_norm"]
    bias = vectors.get(f"layers.{layer}.qkv_bias")
    states = entering.contiguous()
    projected = torch.empty(len(states), matrix.padded_n)
    library().adaptrix_linear(
        ctypes.byref(matrix_struct(matrix)),
        norm.data_ptr(),
        eps,
        states.data_ptr(),
        len(states),
        None if bias is None else bias.data_ptr(),
        projected.data_ptr(),
        torch.get_num_threads(),
    )
    heads, size = base.info.num_heads, base.info.head_dim
    query = projected[:, : heads * size] + _adapted(layer, _normed(states, norm, eps), row, weights_of)
    query = query.view(-1, heads, size)
    if (head_norm := vectors.get(f"layers.{layer}.q_norm")) is not None:
        query = _normed(query, head_norm, eps)
    cosine, sine = (table[: len(states), None] for table in base.rotary_table(len(states)))
    low, high = query.chunk(2, dim=-1)
    return query * cosine + torch.cat([-high, low], -1) * sine


def _adapted(
    layer: int, inputs: Tensor, row: Row, weights_of: Callable[[WeightsDigest], LoraWeights]
) -> Tensor | float:
    """What the row's adapters add to the queries of ``layer``."""
    added: Tensor | float = 0.0
    for place, (start, mix) in enumerate(row.schedule):
        end = row.schedule[place + 1][0] if place + 1 < len(row.schedule) else len(inputs)
        for term in mix:
            own = weights_of(term.adapter).points.get((layer, Q))
            if own is not None:
                factor = torch.zeros(len(inputs), 1)
                factor[start:end] = term.weight_at(layer) * own.scaling
                if isinstance(term.gated, Gated) and (at := term.gated.gate.points.get((layer, Q))) is not None:
                    factor *= term.gated.gate.weights_at(at, inputs)[:, term.gated.place, None]
                added = added + (inputs @ own.lora_a.float().T) @ own.lora_b.float().T * factor
    return added


def _normed(values: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root mean square norm over the last dimension (Zhang and Sennrich, arXiv:1910.07467)."""
    return values * torch.rsqrt(values.square().mean(-1, keepdim=True) + eps) * weight
