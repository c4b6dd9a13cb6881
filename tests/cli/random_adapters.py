"""Random adapter weights for the command line's tests."""

from __future__ import annotations

import torch

from adaptrix_core.base import BaseModel
from adaptrix_core.injection.lora import LoraWeights, PointWeights


def random_weights(
    base: BaseModel,
    layers: tuple[int, ...] = (1, 2),
    module: str = "self_attn.q_proj",
    rank: int = 2,
    scale: float = 0.01,
) -> LoraWeights:
    """Weights for one module of ``layers``."""
    generator = torch.Generator().manual_seed(0)
    points = {}
    for layer in layers:
        spec = base.points[layer, module]
        lora_a = torch.randn(rank, spec.d_in, generator=generator) * scale
        lora_b = torch.randn(spec.d_out, rank, generator=generator) * scale
        points[layer, module] = PointWeights(lora_a, lora_b, 1.0)
    return LoraWeights(points)
