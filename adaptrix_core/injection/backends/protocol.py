"""The protocol of a LoRA backend: it holds adapters on the device, groups a step's tokens, adds the updates.

`PlainLora` is the reference, `TritonLora` the one for CUDA devices. The injector owns hooks and checks; a backend knows
neither, and is used from one thread.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Hashable, Sequence
from typing import Protocol

from torch import Tensor

from adaptrix_core.base.families.parts import Point
from adaptrix_core.base.model import BaseModel
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.backends.plain import PlainLora
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.injection.mix import Mix


class LoraBackend(Protocol):
    """Adapters on one device, addressed by weights digest."""

    def put(self, weights: LoraWeights) -> None:
        """Copy an adapter to the device: all of its points, or none."""

    def remove(self, weights_digest: WeightsDigest) -> None:
        """Free the memory that `put` took."""

    def begin(self, mixes: Sequence[Mix], fixed: bool = False) -> Hashable | None:
        """Token ``i`` of the coming forward passes is under ``mixes[i]``; all of their adapters are on the device.

        fixed: the work is laid out so that a CUDA graph can capture and replay it. Returns its key: two steps of
        equally many tokens and equal keys launch the same kernels, whatever their tensors contain. None: it cannot be
        captured.
        """

    def end(self) -> None:
        """No token is under any adapter until the next `begin`."""

    def acts_at(self, point: Point) -> bool:
        """Whether `apply` would change anything at ``point`` in this step."""

    def apply(self, point: Point, output: Tensor, inputs: Tensor) -> None:
        """Add the step's updates at ``point`` to ``output`` in place; shapes as for `apply_terms`."""


def backend_for(base: BaseModel) -> LoraBackend:
    """The fastest backend for the device that the model is on."""
    if base.device.type == "cuda" and importlib.util.find_spec("triton") is not None:
        from adaptrix_core.injection.backends.triton import TritonLora  # triton comes with CUDA builds of torch only

        return TritonLora(base)
    return PlainLora(base)
