"""The plain LoRA backend: the adapters' own tensors, and `apply_terms` over the tokens of each term."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from adaptrix_core.base.families.parts import Point
from adaptrix_core.base.model import BaseModel
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.backends.gated import GatedSteps
from adaptrix_core.injection.lora import LoraWeights, PointWeights, TermTokens, apply_terms
from adaptrix_core.injection.mix import Mix


class PlainLora:
    """See `LoraBackend`. Runs wherever torch does."""

    def __init__(self, base: BaseModel) -> None:
        self._base = base
        self._banks: dict[Point, dict[WeightsDigest, PointWeights]] = {}
        self._layers: dict[WeightsDigest, tuple[int, ...]] = {}
        self._terms: dict[int, list[TermTokens]] = {}
        self._gated = GatedSteps(base)

    def put(self, weights: LoraWeights) -> None:
        """See `LoraBackend.put`."""
        moved = {point: value.to(self._base.device, self._base.dtype) for point, value in weights.points.items()}
        for point, value in moved.items():
            self._banks.setdefault(point, {})[weights.weights_digest] = value
        self._layers[weights.weights_digest] = weights.layers

    def remove(self, weights_digest: WeightsDigest) -> None:
        """See `LoraBackend.remove`."""
        del self._layers[weights_digest]
        for point in [p for p, bank in self._banks.items() if weights_digest in bank]:
            del self._banks[point][weights_digest]
            if not self._banks[point]:
                del self._banks[point]

    def begin(self, mixes: Sequence[Mix], fixed: bool = False) -> Hashable | None:
        """See `LoraBackend.begin`. Only a step without adapters can be captured: others make tensors of their own."""
        tokens: dict[WeightsDigest, dict[int, list[tuple[int, float]]]] = {}
        for index, mix in enumerate(self._gated.begin(mixes)):
            for term in mix:
                by_layer = tokens.setdefault(term.adapter, {})
                for layer in self._layers[term.adapter]:
                    factor = term.weight_at(layer)
                    if factor != 0.0:
                        by_layer.setdefault(layer, []).append((index, factor))
        self._terms = {}
        for digest, by_layer in tokens.items():
            for layer, entries in by_layer.items():
                self._terms.setdefault(layer, []).append(self._term_tokens(digest, entries, len(mixes)))
        return () if not self._terms and self._gated.is_empty else None

    def end(self) -> None:
        """See `LoraBackend.end`."""
        self._terms = {}
        self._gated.end()

    def acts_at(self, point: Point) -> bool:
        """See `LoraBackend.acts_at`."""
        return point in self._banks and (point[0] in self._terms or not self._gated.is_empty)

    def apply(self, point: Point, output: Tensor, inputs: Tensor) -> None:
        """See `LoraBackend.apply`."""
        bank = self._banks.get(point, {})
        apply_terms(output, inputs, self._terms.get(point[0], ()), bank)
        self._gated.apply(point, output, inputs, bank)

    def _term_tokens(
        self, weights_digest: WeightsDigest, entries: list[tuple[int, float]], num_tokens: int
    ) -> TermTokens:
        indices = [index for index, _ in entries]
        factors = torch.tensor([factor for _, factor in entries], dtype=self._base.dtype, device=self._base.device)
        everything = indices == list(range(num_tokens))
        rows = None if everything else torch.tensor(indices, dtype=torch.long, device=self._base.device)
        return TermTokens(weights_digest, rows, factors.unsqueeze(1))
