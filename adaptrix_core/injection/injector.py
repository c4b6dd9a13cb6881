"""Applies adapters to the base model: forward hooks that stay, slots that change.

A hook is registered once per injection point, on the real (possibly fused) module. To compiled code it is one opaque
operator, `adaptrix::lora`, which asks the injector for the step's terms when it runs. Injecting or removing an adapter
only writes or clears its slots; no hook is added, nothing is traced again. One injector serves one model and is used
from one thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from adaptrix_core.base.families.parts import Part, Point
from adaptrix_core.base.model import BaseModel
from adaptrix_core.base.running import running
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.errors import AdapterNotFound
from adaptrix_core.injection.backends.protocol import LoraBackend, backend_for
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Mix
from adaptrix_core.injection.points import check_point, check_points

_INJECTORS: WeakValueDictionary[int, LayerInjector] = WeakValueDictionary()
_next_id = itertools.count()


@torch.library.custom_op("adaptrix::lora", mutates_args=("output",))
def _lora(output: Tensor, inputs: Tensor, injector: int, module: str) -> None:
    """Add the step's adapter updates at ``module`` of the running layer to ``output`` in place.

    The layer is no argument, so that compiled code is the same for all layers.
    """
    _INJECTORS[injector].apply_at((running.layer, module), output, inputs)


class Injector(Protocol):
    """Holds adapters on the device, by weights digest, so that steps can be computed under them."""

    def inject_adapter(self, weights: LoraWeights) -> None:
        """Put an adapter on the device (idempotent); all of its points or none. Raises AdapterRejected."""

    def remove_adapter(self, weights_digest: WeightsDigest) -> None:
        """Free an adapter's device memory. Raises AdapterNotFound if it is not there."""

    def get_active_adapters(self) -> dict[WeightsDigest, int]:
        """Bytes on the device of every adapter there."""

    def device_bytes(self, weights: LoraWeights) -> int:
        """Bytes that an adapter takes on the device."""

    def banks(self) -> dict[WeightsDigest, dict[str, float]]:
        """Bytes and relative error of adapters that are kept in another precision than the model's."""


class LayerInjector:
    """Applies adapters to a base model, per token.

    Adapters are addressed by weights digest. `step` says which mix each token of the coming forward pass is under.
    """

    def __init__(self, base: BaseModel, backend: LoraBackend | None = None) -> None:
        """backend: holds and applies the weights; None picks the fastest for the model's device."""
        self._base = base
        self._backend = backend or backend_for(base)
        self._handles: dict[Point, RemovableHandle] = {}
        self._adapters: dict[WeightsDigest, LoraWeights] = {}
        self._id = next(_next_id)
        _INJECTORS[self._id] = self

    def register_injection_point(self, layer: int, module: str) -> None:
        """Hook one point (idempotent). Raises InvalidRequest for a layer or module the model does not have."""
        point = check_point(self._base, layer, module)
        if point in self._handles:
            return
        spec = self._base.points[point]
        real = self._base.family.layers(self._base.module)[layer].get_submodule(spec.module_path)
        self._handles[point] = real.register_forward_hook(self._hook(point, spec.part))

    def register_all(self) -> None:
        """Hook every injection point of the model, before anything is compiled."""
        for layer, module in self._base.points:
            self.register_injection_point(layer, module)

    def inject_adapter(self, weights: LoraWeights) -> None:
        """Put an adapter on the device; all of its points or none. Raises AdapterRejected if a point does not fit."""
        if weights.weights_digest in self._adapters:
            return
        check_points(self._base, weights)
        self._backend.put(weights)
        for point in weights.points:
            self.register_injection_point(*point)
        self._adapters[weights.weights_digest] = weights

    def remove_adapter(self, weights_digest: WeightsDigest) -> None:
        """Free an adapter's device memory. Raises AdapterNotFound if it is not there."""
        if self._adapters.pop(weights_digest, None) is None:
            raise AdapterNotFound(f"no adapter with digest {weights_digest[:12]}… is injected")
        self._backend.remove(weights_digest)

    def get_active_adapters(self) -> dict[WeightsDigest, int]:
        """Bytes on the device of every injected adapter, by weights digest."""
        return {digest: self.device_bytes(weights) for digest, weights in list(self._adapters.items())}

    def device_bytes(self, weights: LoraWeights) -> int:
        """Bytes that an adapter takes on the device, in the model's precision."""
        elements = sum(w.lora_a.numel() + w.lora_b.numel() for w in weights.points.values())
        return elements * torch.finfo(self._base.dtype).bits // 8

    def banks(self) -> dict[WeightsDigest, dict[str, float]]:
        """Bytes and relative error of adapters not kept in the model's precision, by weights digest; none here."""
        return {}

    @contextmanager
    def step(self, mixes: Sequence[Mix], fixed: bool = False) -> Iterator[Hashable | None]:
        """For the forward passes inside, token ``i`` of the packed batch is under ``mixes[i]``.

        fixed, and the key that is yielded: see `LoraBackend.begin`.
        Raises AdapterNotFound if a term's adapter is not on the device: computing without it would be silently wrong.
        """
        for digest in {term.adapter for mix in set(mixes) for term in mix}:
            if digest not in self._adapters:
                raise AdapterNotFound(f"adapter with digest {digest[:12]}… is not on the device")
        try:
            yield self._backend.begin(mixes, fixed)
        finally:
            self._backend.end()

    def apply_at(self, point: Point, output: Tensor, inputs: Tensor) -> None:
        """The hook's work: ``output`` ``(tokens, …)`` is the point's own part of the real module's output."""
        self._backend.apply(point, output, inputs)

    def _hook(self, point: Point, part: Part) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        number, module = self._id, point[1]  # compiled code is tied to what it reads, so not to the layer

        def add_adapters(_module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            compiling = torch.compiler.is_dynamo_compiling()
            if not compiling and not self._backend.acts_at(point):
                return
            own, inputs = part.view(output.view(-1, output.shape[-1])), args[0].reshape(-1, args[0].shape[-1])
            if compiling:
                _lora(own, inputs, number, module)
            else:
                self.apply_at(point, own, inputs)

        return add_adapters
