"""Adapter matrices in the precisions of a bank: half, bytes with a scale per row, or single."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Bank = Literal["half", "int8", "single"]

_HALF_RANGE = (2.0**-10, 65504.0)
"""Range of a matrix's largest magnitude in which half precision holds the matrix. Above, it overflows; below, its small
values become subnormal and are off by more than 3e-5 of the largest."""


@dataclass(frozen=True)
class BankMatrix:
    """A matrix ``(rank, d)`` in a bank's precision."""

    values: Tensor
    """float16, float32 or int8."""
    scales: Tensor | None
    """Factor of each row, ``(rank,)`` float32; None unless the values are int8."""

    @property
    def nbytes(self) -> int:
        """Bytes of values and scales."""
        return self.values.nbytes + (0 if self.scales is None else self.scales.nbytes)

    def error(self, given: Tensor) -> float:
        """``|kept - given| / |given|`` in the Frobenius norm."""
        kept = self.values.float() if self.scales is None else self.values * self.scales[:, None]
        size = float(given.norm())
        return float((kept - given).norm()) / size if size else 0.0


def keep(matrix: Tensor, bank: Bank) -> BankMatrix:
    """``matrix`` ``(rank, d)`` in a bank's precision; in single precision where half does not hold it."""
    if bank == "int8":
        scales = matrix.float().abs().amax(-1) / 127
        values = torch.round(matrix / torch.where(scales > 0, scales, 1.0)[:, None]).to(torch.int8)
        return BankMatrix(values.contiguous(), scales.contiguous())
    largest = float(matrix.abs().max())
    if bank == "single" or not _HALF_RANGE[0] <= largest <= _HALF_RANGE[1]:
        return BankMatrix(matrix.float().contiguous(), None)
    return BankMatrix(matrix.to(torch.float16).contiguous(), None)
