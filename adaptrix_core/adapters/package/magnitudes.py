"""Checks that weights can be computed with: a stored dtype, finite, and finite once scaled and multiplied.

`A` and `B` may each be finite and `scaling * B (A x)` still overflow; the infinity becomes NaN in the next norm, and so
does every logit of the row. The bound is the sum of magnitudes, ``|scaling| * |B| (|A| 1)``: what an output can reach
for inputs of magnitude 1, found without forming ``B A``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adaptrix_core.adapters.package.metadata import point_key
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.lora import LoraWeights, PointWeights

_STORED_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_INPUT = 2.0**16
"""Largest magnitude of inputs that must not overflow; "massive activations" reach some thousands (arXiv:2402.17762)."""


def check_values(identity: str, weights: LoraWeights, dtype: torch.dtype = torch.float32) -> None:
    """Refuse weights that cannot be computed with in ``dtype``, the base model's.

    Raises AdapterRejected: bad_dtype, non_finite. Without a base, ``dtype`` is the widest one that a base may have.
    """
    for point, values in weights.points.items():
        for label, tensor in (("lora_A", values.lora_a), ("lora_B", values.lora_b)):
            if tensor.dtype not in _STORED_DTYPES:
                raise AdapterRejected(
                    f"{identity}: {point_key(point)}.{label} is {tensor.dtype}; store float32, float16 or bfloat16",
                    code="bad_dtype",
                )
            if not bool(torch.isfinite(tensor).all()):
                raise AdapterRejected(
                    f"{identity}: {point_key(point)}.{label} holds NaN or infinite values; its training diverged",
                    code="non_finite",
                )
        reach, limit = largest_output(values), largest_allowed(dtype)
        if not reach <= limit:
            raise AdapterRejected(
                f"{identity}: {point_key(point)}: scaling {values.scaling:g} times B times A reaches {reach:.3g}, "
                f"limit {limit:.3g} in {str(dtype).removeprefix('torch.')}; its answers would be NaN. Its "
                "training diverged, or alpha is wrong",
                code="non_finite",
            )


def largest_output(values: PointWeights) -> float:
    """The largest intermediate number between inputs of magnitude 1 and this point's update; may be infinite or NaN."""
    inner = values.lora_a.abs().sum(1, dtype=torch.float64)
    outer = values.lora_b.abs().double() @ inner
    # Kernels scale first, in between or last, so no order may overflow.
    factor = max(1.0, abs(float(torch.tensor(values.scaling, dtype=torch.float32))))
    return max(_top(inner), _top(values.lora_b.abs()), _top(outer)) * factor


def largest_allowed(dtype: torch.dtype) -> float:
    """Upper bound on `largest_output`. float16 cannot hold inputs of `_INPUT`; those that it can leave less room."""
    largest = torch.finfo(dtype).max
    return float(largest / min(_INPUT, largest**0.25))


def _top(tensor: Tensor) -> float:
    return float(tensor.max()) if tensor.numel() else 0.0
