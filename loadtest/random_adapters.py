"""Adapters of random weights on three middle layers, written as packages: as many as an experiment needs.

What they answer is nonsense; what they cost is what real ones of this size cost. They are not signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from adaptrix_core.adapters import describe, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.injection.lora import LoraWeights, PointWeights

FRACTIONS = (0.33, 0.47, 0.6)
"""Where the adapted layers are, as fractions of the depth: the default of training."""
MODULES = ("self_attn.q_proj", "mlp.up_proj")
RANK = 16


def middle_layers(base: BaseModel) -> list[int]:
    """FRACTIONS of this model's depth."""
    return [int(fraction * base.info.num_layers) for fraction in FRACTIONS]


def write_adapters(directory: Path, base: BaseModel, count: int) -> list[str]:
    """Write ``count`` packages into ``directory``; returns their names, ``adapter-0`` first."""
    return [_write(directory, base, number) for number in range(count)]


def _write(directory: Path, base: BaseModel, number: int) -> str:
    name = f"adapter-{number}"
    weights = random_weights(base, number, middle_layers(base))
    write_package(directory / name, describe(weights, base.info, name), weights)
    return name


def random_weights(base: BaseModel, seed: int, layers: Sequence[int], rank: int = RANK) -> LoraWeights:
    """Weights for MODULES of ``layers``, strong enough to change what is said."""
    generator = torch.Generator().manual_seed(seed)
    points = {}
    for layer in layers:
        for module in MODULES:
            spec = base.points[layer, module]
            lora_a = torch.randn(rank, spec.d_in, generator=generator) * 0.02
            lora_b = torch.randn(spec.d_out, rank, generator=generator) * 0.02
            points[layer, module] = PointWeights(lora_a, lora_b, 1.0)
    return LoraWeights(points)
