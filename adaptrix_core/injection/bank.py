"""Adapter matrices in the precisions that banks keep them in: half, or bytes with a scale per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Bank = Literal["half", "int8", "single"]

_LOST_IN_HALF = 1e-3
"""Relative error from which on half precision does not hold a matrix: its values are too small or too large."""


@dataclass(frozen=True)
class BankMatrix:
    """A matrix ``(rank, d)`` as it is kept."""

    values: Tensor
    """float16, float32 or int8."""
    scales: Tensor | None
    """Factor of each row, ``(rank,)`` float32, for bytes."""
    error: float
    """``|kept - given| / |given|`` in the Frobenius norm."""

    @property
    def nbytes(self) -> int:
        """Bytes of values and scales."""
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)


def keep(matrix: Tensor, bank: Bank) -> BankMatrix:
    """``matrix`` ``(rank, d)`` in a bank's precision; in single precision where half does not hold its values."""
    full = matrix.float().contiguous()
    if bank == "int8":
        scales = full.abs().amax(-1) / 127
        values = torch.round(full / torch.where(scales > 0, scales, 1.0)[:, None]).to(torch.int8)
        return BankMatrix(values, scales.contiguous(), _error(values * scales[:, None], full))
    half = full.half()
    error = _error(half.float(), full)
    if bank == "single" or not error < _LOST_IN_HALF:  # an overflow makes the error infinite or not a number
        return BankMatrix(full, None, 0.0)
    return BankMatrix(half, None, error)


def _error(kept: Tensor, given: Tensor) -> float:
    size = float(given.norm())
    return float((kept - given).norm()) / size if size else 0.0
