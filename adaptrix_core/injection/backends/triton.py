"""The LoRA backend for CUDA devices: slots in a table of addresses, steps as one upload, the sums in Triton kernels.

An adapter is one piece of device memory with all of its tensors: putting it there is one copy and one record of the
table. Another adapter in a slot changes numbers that kernels read, never a kernel or its arguments. A *fixed* step can
be captured in a CUDA graph: its plan overwrites, in place, that of the last step of its shape, and it launches kernels
at every point that was ever adapted, with the largest rank so far. So the key of a capture only grows: once it has
changed, older captures are of no more use. Tokens under a gate are computed in torch (`gated.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

from adaptrix_core.base.families.parts import Point
from adaptrix_core.base.model import BaseModel
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.backends.gated import GatedSteps
from adaptrix_core.injection.backends.token_groups import TokenGroups, group_tokens, padded_groups
from adaptrix_core.injection.backends.triton_kernels import SlotTable, StepTensors, add_lora
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from adaptrix_core.injection.mix import Mix

_FIRST_SLOTS = 64
"""Slots of a new table; it doubles when all are taken."""
_ALIGNMENT = 16
"""Alignment of tensors, in elements: each starts at a multiple of it, so that kernels load whole vectors."""


class TritonLora:
    """See `LoraBackend`."""

    def __init__(self, base: BaseModel) -> None:
        self._base = base
        self._places = {point: number for number, point in enumerate(base.points)}
        self._memory: dict[WeightsDigest, Tensor] = {}
        self._points: dict[WeightsDigest, frozenset[Point]] = {}
        self._ranks: dict[WeightsDigest, int] = {}
        self._slots: dict[WeightsDigest, int] = {}
        self._free: list[int] = []
        self._table = self._empty_table(0)
        self._step: StepTensors | None = None
        self._acting: frozenset[Point] = frozenset()
        self._max_rank = self._step_rank = 1
        self._ever_adapted: frozenset[Point] = frozenset()
        self._largest_rank = 1
        self._fixed: dict[tuple[int, int], Tensor] = {}
        """Plans of fixed steps, by (tokens, terms)."""
        self._gated = GatedSteps(base)
        self._banks: dict[Point, dict[WeightsDigest, PointWeights]] = {}
        """The adapters' tensors where they lie, for gated tokens."""

    def put(self, weights: LoraWeights) -> None:
        """See `LoraBackend.put`."""
        packed, offsets = _pack(weights, self._base.dtype)
        memory = self._upload(packed)
        if not self._free:
            self._grow()
        slot = self._free.pop()
        records = torch.zeros(self._table.records.shape[1:], dtype=torch.int64)
        scalings = torch.zeros(self._table.scalings.shape[1:], dtype=torch.float32)
        for point, (at_a, at_b) in offsets.items():
            addresses = [memory.data_ptr() + at * memory.element_size() for at in (at_a, at_b)]
            records[self._places[point]] = torch.tensor([*addresses, weights.points[point].rank])
            scalings[self._places[point]] = weights.points[point].scaling
            self._banks.setdefault(point, {})[weights.weights_digest] = _view(memory, at_a, at_b, weights.points[point])
        self._table.records[slot].copy_(records)
        self._table.scalings[slot].copy_(scalings)
        self._memory[weights.weights_digest] = memory
        self._points[weights.weights_digest] = frozenset(weights.points)
        self._ranks[weights.weights_digest] = weights.max_rank
        self._slots[weights.weights_digest] = slot
        self._max_rank = max(self._ranks.values())
        self._ever_adapted |= self._points[weights.weights_digest]
        self._largest_rank = max(self._largest_rank, weights.max_rank)

    def remove(self, weights_digest: WeightsDigest) -> None:
        """See `LoraBackend.remove`. Safe while kernels read the memory: its next use follows them on their stream."""
        self._free.append(self._slots.pop(weights_digest))
        for point in self._points[weights_digest]:
            del self._banks[point][weights_digest]
        del self._memory[weights_digest], self._points[weights_digest], self._ranks[weights_digest]
        self._max_rank = max(self._ranks.values(), default=1)

    def begin(self, mixes: Sequence[Mix], fixed: bool = False) -> Hashable | None:
        """See `LoraBackend.begin`."""
        ungated = self._gated.begin(mixes)
        groups = group_tokens(ungated, self._slots, self._base.info.num_layers)
        self._step_rank = self._max_rank
        self._acting = frozenset(
            point
            for term in {term for mix in set(ungated) for term in mix}
            for point in self._points[term.adapter]
            if term.weight_at(point[0]) != 0.0
        )
        if not self._acting:
            self._step = None
            return () if self._gated.is_empty else None
        if not fixed or not self._gated.is_empty:
            self._step = self._upload_step(groups)
            return None
        terms = 1 << (groups.slots.shape[1] - 1).bit_length()
        self._step = self._upload_step(padded_groups(groups, len(mixes), terms), self._fixed)
        self._acting, self._step_rank = self._ever_adapted, self._largest_rank
        return terms, len(self._table.records), self._step_rank, self._acting

    def end(self) -> None:
        """See `LoraBackend.end`."""
        self._step, self._acting = None, frozenset()
        self._gated.end()

    def acts_at(self, point: Point) -> bool:
        """See `LoraBackend.acts_at`."""
        return point in self._acting or (not self._gated.is_empty and bool(self._banks.get(point)))

    def apply(self, point: Point, output: Tensor, inputs: Tensor) -> None:
        """See `LoraBackend.apply`."""
        if self._step is not None and point in self._acting:
            add_lora(output, inputs, self._step, point[0], self._table, self._places[point], self._step_rank)
        self._gated.apply(point, output, inputs, self._banks.get(point, {}))

    def _upload(self, host: Tensor) -> Tensor:
        """A copy on the device; from pinned memory, so that it runs beside what the device computes."""
        if self._base.device.type != "cuda":
            return host.to(self._base.device)
        return host.pin_memory().to(self._base.device, non_blocking=True)

    def _upload_step(self, groups: TokenGroups, places: dict[tuple[int, int], Tensor] | None = None) -> StepTensors:
        """All tensors of the step in one copy; into the tensor that ``places`` has for this shape, if given."""
        arrays = (groups.order, groups.tiles, groups.slots, groups.factors.view(np.int32))
        packed = self._upload(torch.from_numpy(np.concatenate([array.ravel() for array in arrays])))
        if places is not None:
            packed = places.setdefault((len(groups.order), groups.slots.shape[1]), packed).copy_(packed)
        parts = packed.split([array.size for array in arrays])
        order, tiles, slots, factors = (part.view(a.shape) for part, a in zip(parts, arrays, strict=True))
        return StepTensors(order, tiles, slots, factors.view(torch.float32))

    def _empty_table(self, slots: int) -> SlotTable:
        shape, device = (slots, len(self._places)), self._base.device
        return SlotTable(
            torch.zeros((*shape, 3), dtype=torch.int64, device=device),
            torch.zeros(shape, dtype=torch.float32, device=device),
        )

    def _grow(self) -> None:
        old, used = self._table, len(self._table.records)
        self._table = self._empty_table(max(_FIRST_SLOTS, 2 * used))
        self._table.records[:used].copy_(old.records)
        self._table.scalings[:used].copy_(old.scalings)
        self._free += range(used, len(self._table.records))


def _pack(weights: LoraWeights, dtype: torch.dtype) -> tuple[Tensor, dict[Point, tuple[int, int]]]:
    """All tensors of an adapter in one, in host memory, and where each point's ``A`` and transposed ``B`` begin."""
    offsets: dict[Point, tuple[int, int]] = {}
    pieces: list[Tensor] = []
    end = 0
    for point, value in weights.points.items():
        starts = []
        for tensor in (value.lora_a, value.lora_b.T):
            flat = tensor.to(dtype).flatten()
            pieces.append(torch.nn.functional.pad(flat, (0, -flat.numel() % _ALIGNMENT)))
            starts.append(end)
            end += pieces[-1].numel()
        offsets[point] = (starts[0], starts[1])
    return torch.cat(pieces), offsets


def _view(memory: Tensor, at_a: int, at_b: int, weights: PointWeights) -> PointWeights:
    """One point of a packed adapter, as tensors that share its memory."""
    (rank, d_in), d_out = weights.lora_a.shape, weights.lora_b.shape[0]
    lora_a = memory[at_a : at_a + rank * d_in].view(rank, d_in)
    return PointWeights(lora_a, memory[at_b : at_b + rank * d_out].view(rank, d_out).T, weights.scaling)
