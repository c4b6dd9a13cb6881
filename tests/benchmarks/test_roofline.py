"""What the roofline measures is a product."""

from __future__ import annotations

import pytest
import torch

from adaptrix_core.base.layouts import pack, quantize_rows
from adaptrix_core.native import why_not
from benchmarks.roofline import multiply


@pytest.mark.skipif(why_not() is not None, reason=f"no native kernels: {why_not()}")
def test_a_packed_matrix_is_multiplied() -> None:
    matrix = pack(quantize_rows(torch.randn(16, 64).numpy()))
    inputs, output = torch.randn(3, 64), torch.empty(3, 16)
    multiply(matrix, inputs, output, 3)
    assert torch.allclose(output, inputs @ matrix.dequantize().T, atol=1e-2)
