"""Adapters meet the model: mixes, the LoRA sum, and the hooks that apply it."""

from adaptrix_core.injection.injector import LayerInjector
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from adaptrix_core.injection.mix import Mix, MixSchedule, Term

__all__ = ["LayerInjector", "LoraWeights", "Mix", "MixSchedule", "PointWeights", "Term"]
