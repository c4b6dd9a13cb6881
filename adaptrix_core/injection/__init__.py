"""Adapters meet the model: mixes, the LoRA sum, and the hooks that apply it.

Importing this package is cheap: the names below are loaded on first use.

Files:

activation    Activated LoRA: an adapter that takes effect from its invocation tokens on (aLoRA, arXiv:2504.12397)
arrow         Arrow: a gate made of the adapters themselves, without training (Ostapenko et al., arXiv:2405.11157,
              section 3.2)
bank          Adapter matrices in the precisions of a bank: half, bytes with a scale per row, or single
gate          Gates: how much each term of a mix counts for one token, decided by what the token is at that point
injector      Applies adapters to the base model: forward hooks that stay, slots that change
learned_gate  Learned gates: a gate with the adapters that it was trained over, named by their weights digests
lora          LoRA weights, and the LoRA sum over a packed batch
mix           Mixes of adapters, under which tokens are computed
points        Whether a model has the points that an adapter is for, and whether the weights fit them
wanted_gates  Lays the gates on a mix that its terms want: learned ones, or Arrow's, which are made of the adapters
backends/     Backends of the LoRA sum: plain torch, Triton kernels, native kernels
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.injection.injector import LayerInjector
    from adaptrix_core.injection.lora import LoraWeights, PointWeights
    from adaptrix_core.injection.mix import Mix, MixSchedule, Term

__all__ = ["LayerInjector", "LoraWeights", "Mix", "MixSchedule", "PointWeights", "Term"]

__getattr__ = lazy_exports(
    __name__,
    {
        "LayerInjector": "adaptrix_core.injection.injector",
        "LoraWeights": "adaptrix_core.injection.lora",
        "Mix": "adaptrix_core.injection.mix",
        "MixSchedule": "adaptrix_core.injection.mix",
        "PointWeights": "adaptrix_core.injection.lora",
        "Term": "adaptrix_core.injection.mix",
    },
)
