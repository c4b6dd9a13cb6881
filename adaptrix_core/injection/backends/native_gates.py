"""Gates for the native kernels: each step's list of gates, and the terms whose weights they write.

A gate's record has its tokens and a table of weights, which the kernels fill before the terms at its point, whose
records point to the table's rows, are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.base.families.parts import MODULES
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.backends.native_runs import MixRun
from adaptrix_core.injection.gate import Gate, PointGate
from adaptrix_core.injection.mix import Term, gated_terms
from adaptrix_core.native.structs import GATE

PlacedTerm = tuple[NDArray[np.void], float]
"""One adapter's record at one point, without tokens, and its scaling."""


class GatePlan:
    """The gates of one step, and the records of their terms."""

    def __init__(
        self, runs: Sequence[MixRun], at_points: Callable[[WeightsDigest], Mapping[tuple[int, int], PlacedTerm]]
    ):
        """at_points: an adapter's records by (layer, number of the module)."""
        self.gates: list[NDArray[np.void]] = []
        self.terms: list[NDArray[np.void]] = []
        self.memory: list[NDArray[np.generic]] = []
        """Owner of the arrays that the records point to."""
        groups: dict[tuple[Gate, tuple[Term[WeightsDigest], ...]], list[MixRun]] = {}
        for run in runs:
            for group in gated_terms(run.mix).items():
                groups.setdefault(group, []).append(run)
        for (gate, terms), used in groups.items():
            placed = [at_points(term.adapter) for term in terms]
            tokens = np.concatenate([np.arange(run.start, run.start + run.length, dtype=np.int32) for run in used])
            self.memory.append(tokens)
            for point in sorted({point for own in placed for point in own}):
                self._add(gate, point, [own.get(point) for own in placed], terms, tokens)

    def sorted_gates(self, num_layers: int) -> tuple[NDArray[np.void], NDArray[np.int32]]:
        """All gates in the order of layers, and the index of each layer's first one, ``(num_layers + 1,)``."""
        gates = np.concatenate([np.empty(0, GATE), *self.gates])
        gates = gates[np.argsort(gates["layer"], kind="stable")]
        return gates, np.searchsorted(gates["layer"], np.arange(num_layers + 1)).astype(np.int32)

    def _add(
        self,
        gate: Gate,
        point: tuple[int, int],
        placed: Sequence[PlacedTerm | None],
        terms: Sequence[Term[WeightsDigest]],
        tokens: NDArray[np.int32],
    ) -> None:
        layer, module = point
        factors = np.array(
            [0.0 if own is None else term.weight_at(layer) * own[1] for term, own in zip(terms, placed, strict=True)],
            np.float32,
        )
        weights = np.repeat(factors[:, None], len(tokens), axis=1)
        at = gate.points.get((layer, MODULES[module]))
        if at is not None:
            weighed = np.flatnonzero(at.acting)
            weights = np.ascontiguousarray(weights[weighed])
            self.gates.append(self._gate_record(gate, at, point, weighed, factors, tokens, weights))
        else:
            weighed = np.arange(len(terms))
        self.memory.append(weights)
        for row, place in zip(weights, weighed, strict=True):
            if (own := placed[int(place)]) is not None and factors[place] != 0.0:
                record = own[0].copy()
                record["count"], record["tokens"] = len(tokens), tokens.ctypes.data
                record["weights"] = row.ctypes.data
                self.terms.append(record)

    def _gate_record(
        self,
        gate: Gate,
        at: PointGate,
        point: tuple[int, int],
        weighed: NDArray[np.intp],
        factors: NDArray[np.float32],
        tokens: NDArray[np.int32],
        weights: NDArray[np.float32],
    ) -> NDArray[np.void]:
        directions = np.ascontiguousarray(at.directions.float().numpy()[weighed])
        offsets, own = at.offsets.float().numpy()[weighed], factors[weighed]
        self.memory += [directions, offsets, own]
        record = np.zeros(1, GATE)
        record["layer"], record["point"] = point
        record["terms"], record["d_in"], record["count"] = len(weighed), directions.shape[1], len(tokens)
        record["top_k"] = min(gate.top_k or len(weighed), len(weighed))
        record["is_unsigned"], record["temperature"] = gate.is_unsigned, gate.temperature
        for name, array in (
            ("directions", directions), ("offsets", offsets), ("factors", own), ("tokens", tokens), ("weights", weights)
        ):  # fmt: skip
            record[name] = array.ctypes.data
        return record
