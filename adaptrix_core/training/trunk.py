"""The frozen layers below the first trained one: computed once per example, reused in later epochs.

A layer below the cut never sees an adapter, so its states depend on tokens only. `TrunkCache` runs those layers once
per example, keeps the states that enter the cut layer (float32, on the CPU), and afterwards runs only the layers above.

Knows a model's list of decoder layers. Does not know which modules are trained, nor the loss.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from adaptrix_core.training.examples.packing import Pack


class _Passthrough(nn.Module):
    """Takes the place of a layer and returns its input."""

    def forward(self, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        return hidden_states


class _Capture(nn.Module):
    """Takes the place of the cut layer and keeps its input."""

    def __init__(self) -> None:
        super().__init__()
        self.states: Tensor | None = None

    def forward(self, hidden_states: Tensor, *_: object, **__: object) -> Tensor:
        self.states = hidden_states
        return hidden_states


class _Start(nn.Module):
    """Takes the place of a lower layer and returns the kept states, whatever its input."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states

    def forward(self, *_: object, **__: object) -> Tensor:
        return self.states


class TrunkCache:
    """States at the input of ``layers[cut]``, per example index.

    ``computed`` and ``reused`` count layer-tokens (layers below the cut times tokens) that ran and that did not have
    to; ``seconds`` is the time spent computing, so ``seconds * reused / computed`` estimates what reuse saved.
    """

    def __init__(self, model: nn.Module, layers: nn.ModuleList, cut: int) -> None:
        self._model, self._layers, self.cut = model, layers, cut
        self._states: dict[int, Tensor] = {}
        self._prefix: Tensor | None = None
        self.computed = 0
        self.reused = 0
        self.seconds = 0.0

    @property
    def seconds_saved(self) -> float:
        """Estimate of the time that reuse saved, at the measured cost per layer-token."""
        return self.seconds * self.reused / self.computed if self.computed else 0.0

    def states(self, pack: Pack) -> Tensor:
        """The states that enter the cut layer for this pack, ``(1, tokens, hidden)``."""
        tokens = pack.token_ids.shape[1]
        if self._prefix is None or any(e.index not in self._states for e in pack.examples):
            return self._compute(pack)
        self.reused += tokens * self.cut
        return torch.cat([self._prefix, *(self._states[e.index] for e in pack.examples)])[None]

    def _compute(self, pack: Pack) -> Tensor:
        started = time.perf_counter()
        end = _Capture()
        above = range(self.cut + 1, len(self._layers))
        with torch.no_grad(), _replaced(self._layers, {self.cut: end} | {i: _Passthrough() for i in above}):
            self._model(
                input_ids=pack.token_ids,
                attention_mask=pack.mask,
                position_ids=pack.positions,
                use_cache=False,
                logits_to_keep=1,
            )
        assert end.states is not None
        self._keep(pack, end.states[0])
        self.computed += pack.token_ids.shape[1] * self.cut
        self.seconds += time.perf_counter() - started
        return end.states

    def _keep(self, pack: Pack, states: Tensor) -> None:
        start = pack.prefix_length
        self._prefix = states[:start].clone()
        for example in pack.examples:
            own = len(example.token_ids) - pack.prefix_length
            self._states[example.index] = states[start : start + own].clone()
            start += own

    @contextmanager
    def skipped(self, states: Tensor) -> Iterator[None]:
        """While the context lasts, the model's forward pass starts at the cut layer, from ``states``."""
        with _replaced(self._layers, {i: _Start(states) for i in range(self.cut)}):
            yield


@contextmanager
def _replaced(layers: nn.ModuleList, stand_ins: dict[int, nn.Module]) -> Iterator[None]:
    originals = {index: layers[index] for index in stand_ins}
    for index, stand_in in stand_ins.items():
        # Families with several kinds of attention ask the layer which kind it is.
        if hasattr(layers[index], "attention_type"):
            stand_in.attention_type = layers[index].attention_type
        layers[index] = stand_in
    try:
        yield
    finally:
        for index, original in originals.items():
            layers[index] = original
