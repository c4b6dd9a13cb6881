"""Adapters for the native kernels: banks in the kernels' arrangement, and each step's list of terms.

A bank holds ``A`` as it is and ``B`` transposed, in the precision of `bank.py`. A step's plan lists the terms by layer
and point with the tokens of each: points without a term cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.base.families.parts import MODULES
from adaptrix_core.base.model import BaseModel
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterNotFound
from adaptrix_core.injection.backends.native_gates import GatePlan, PlacedTerm
from adaptrix_core.injection.backends.native_runs import MixRun
from adaptrix_core.injection.bank import Bank, BankMatrix, keep
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Term
from adaptrix_core.injection.points import check_points
from adaptrix_core.native.structs import BANK_CODES, TERM

_BANK_BYTES: Mapping[Bank, int] = {"half": 2, "int8": 1, "single": 4}


@dataclass(frozen=True)
class StepPlan:
    """The terms of one step for the kernels, sorted by layer and point."""

    terms: NDArray[np.void]
    starts: NDArray[np.int32]
    """Index of each layer's first term, and the number of terms, ``(num_layers + 1,)``."""
    gates: NDArray[np.void]
    """Sorted by layer."""
    gate_starts: NDArray[np.int32]
    """Index of each layer's first gate, ``(num_layers + 1,)``."""
    memory: tuple[NDArray[np.generic], ...]
    """Owner of the arrays that the terms point to."""


@dataclass(frozen=True)
class _Resident:
    weights: LoraWeights
    terms: NDArray[np.void]
    """One record per point, without tokens."""
    scalings: NDArray[np.float32]
    kept: tuple[BankMatrix, ...]
    """Owner of the matrices that the records point to."""

    @cached_property
    def by_point(self) -> Mapping[tuple[int, int], PlacedTerm]:
        """Each record with its scaling, by (layer, number of the module)."""
        points = zip(self.terms["layer"].tolist(), self.terms["point"].tolist(), strict=True)
        return {point: (self.terms[at : at + 1], float(self.scalings[at])) for at, point in enumerate(points)}

    @property
    def nbytes(self) -> int:
        return sum(matrix.nbytes for matrix in self.kept)

    @cached_property
    def error(self) -> float:
        """Largest relative error of any matrix; takes milliseconds, once."""
        given = (m for _, p in sorted(self.weights.points.items()) for m in (p.lora_a, p.lora_b.T))
        return max(kept.error(matrix) for kept, matrix in zip(self.kept, given, strict=True))


class NativeInjector:
    """The injector of a base model whose layers run natively: there is nothing to hook, only banks to fill."""

    def __init__(self, base: BaseModel, bank: Bank = "half") -> None:
        self._base = base
        self._bank = bank
        self._residents: dict[WeightsDigest, _Resident] = {}
        self._last: tuple[list[MixRun], StepPlan] | None = None

    def inject_adapter(self, weights: LoraWeights) -> None:
        """See `Injector.inject_adapter`."""
        if weights.weights_digest in self._residents:
            return
        check_points(self._base, weights)
        self._residents[weights.weights_digest] = _arrange(weights, self._bank)
        self._last = None

    def remove_adapter(self, weights_digest: WeightsDigest) -> None:
        """See `Injector.remove_adapter`."""
        if self._residents.pop(weights_digest, None) is None:
            raise AdapterNotFound(f"no adapter with digest {weights_digest[:12]}… is injected")
        self._last = None

    def get_active_adapters(self) -> dict[WeightsDigest, int]:
        """See `Injector.get_active_adapters`."""
        return {digest: resident.nbytes for digest, resident in self._residents.items()}

    def device_bytes(self, weights: LoraWeights) -> int:
        """See `Injector.device_bytes`; matrices that half precision does not hold take twice as much."""
        elements = sum(w.lora_a.numel() + w.lora_b.numel() for w in weights.points.values())
        return elements * _BANK_BYTES[self._bank]

    def banks(self) -> dict[WeightsDigest, dict[str, float]]:
        """By digest, bytes of the bank, and its largest relative error against the adapter's own weights."""
        return {d: {"bytes": r.nbytes, "error": r.error} for d, r in self._residents.items()}

    def weights_of(self, weights_digest: WeightsDigest) -> LoraWeights:
        """An adapter's weights as they were before they came into the bank. Raises KeyError where it is not here."""
        return self._residents[weights_digest].weights

    def plan(self, runs: list[MixRun]) -> StepPlan:
        """The terms of a step whose tokens are under the mixes of ``runs``, which are in the order of the batch.

        Consecutive steps of the same rows share one plan. Raises AdapterNotFound if an adapter is not here.
        """
        if self._last is None or self._last[0] != runs:
            self._last = (runs, self._make_plan(runs))
        return self._last[1]

    def _make_plan(self, runs: Sequence[MixRun]) -> StepPlan:
        uses: dict[WeightsDigest, list[tuple[Term[WeightsDigest], MixRun]]] = {}
        for run in runs:
            for term in run.mix:
                if term.adapter not in self._residents:
                    raise AdapterNotFound(f"adapter with digest {term.adapter[:12]}… is not on the device")
                if term.gated is None:
                    uses.setdefault(term.adapter, []).append((term, run))
        records: list[NDArray[np.void]] = [np.empty(0, TERM)]
        memory: list[NDArray[np.generic]] = []
        for digest, used in uses.items():
            _fill(self._residents[digest], used, records, memory)
        gated = GatePlan(runs, lambda digest: self._residents[digest].by_point)
        terms = np.concatenate([*records, *gated.terms])
        terms = terms[np.lexsort((terms["point"], terms["layer"]))]
        inner = np.empty(int((terms["rank"] * terms["count"]).sum()), np.float32)
        sizes = (terms["rank"] * terms["count"]).astype(np.uint64)
        terms["inner"] = inner.ctypes.data + 4 * (np.cumsum(sizes) - sizes)
        starts = np.searchsorted(terms["layer"], np.arange(self._base.info.num_layers + 1)).astype(np.int32)
        gates, gate_starts = gated.sorted_gates(self._base.info.num_layers)
        return StepPlan(terms, starts, gates, gate_starts, (*memory, *gated.memory, inner))


def _fill(
    resident: _Resident,
    used: Sequence[tuple[Term[WeightsDigest], MixRun]],
    records: list[NDArray[np.void]],
    memory: list[NDArray[np.generic]],
) -> None:
    """Add one adapter's records with their tokens; layers with equal factors share their arrays."""
    factors: dict[tuple[float, ...], list[int]] = {}
    for layer in resident.weights.layers:
        factors.setdefault(tuple(term.weight_at(layer) for term, _ in used), []).append(layer)
    for weights, layers in factors.items():
        acting = [(run, weight) for (_, run), weight in zip(used, weights, strict=True) if weight != 0.0]
        if not acting:
            continue
        tokens = np.concatenate([np.arange(run.start, run.start + run.length, dtype=np.int32) for run, _ in acting])
        each = np.repeat(np.array([w for _, w in acting], np.float32), [run.length for run, _ in acting])
        chosen = np.isin(resident.terms["layer"], layers)
        terms, scalings = resident.terms[chosen], resident.scalings[chosen]
        terms["count"], terms["tokens"] = len(tokens), tokens.ctypes.data
        memory.append(tokens)
        for scaling in np.unique(scalings):
            scaled = each * scaling
            terms["weights"][scalings == scaling] = scaled.ctypes.data
            memory.append(scaled)
        records.append(terms)


def _arrange(weights: LoraWeights, bank: Bank) -> _Resident:
    points = sorted(weights.points.items())
    terms = np.zeros(len(points), TERM)
    kept: list[BankMatrix] = []
    for record, ((layer, module), value) in zip(terms, points, strict=True):
        a, b = keep(value.lora_a, bank), keep(value.lora_b.T, bank)
        if a.values.dtype != b.values.dtype:  # the kernels take one type for both
            a, b = keep(value.lora_a, "single"), keep(value.lora_b.T, "single")
        kept += [a, b]
        record["layer"], record["point"], record["rank"] = layer, MODULES.index(module), value.rank
        record["type"] = BANK_CODES[str(a.values.dtype).removeprefix("torch.")]
        record["d_in"], record["d_out"] = a.values.shape[1], b.values.shape[1]
        record["a"], record["b"] = a.values.data_ptr(), b.values.data_ptr()
        if a.scales is not None and b.scales is not None:
            record["a_scales"], record["b_scales"] = a.scales.data_ptr(), b.scales.data_ptr()
    scalings = np.array([value.scaling for _, value in points], np.float32)
    return _Resident(weights, terms, scalings, tuple(kept))
