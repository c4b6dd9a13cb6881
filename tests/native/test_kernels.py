"""The kernels compute what their layouts say, row by row, whatever else is in the batch."""

from __future__ import annotations

import ctypes

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from adaptrix_core.base.layouts import Layout, PackedMatrix, QuantizedRows, pack, quantize_rows
from adaptrix_core.base.packed_model import matrix_struct
from adaptrix_core.native import library

K = 160
EPS = 1e-5
STEPS = {"int4": 127, "int8": 32767}
"""Largest quantised activation, by layout of the weights."""


def matrix(layout: Layout, n: int = 40) -> PackedMatrix:
    values = np.random.default_rng(0).standard_normal((n, K)).astype(np.float32)
    if layout == "int8":
        return pack(quantize_rows(values))
    return pack(QuantizedRows("int4", gguf.quantize(values, gguf.GGMLQuantizationType.Q4_1)))


def multiply(
    packed: PackedMatrix, x: Tensor, bias: Tensor | None = None, threads: int = 2, norm: Tensor | None = None
) -> Tensor:
    out = torch.empty(len(x), packed.padded_n)
    library().adaptrix_linear(
        ctypes.byref(matrix_struct(packed)),
        None if norm is None else norm.data_ptr(),
        EPS,
        x.data_ptr(),
        len(x),
        None if bias is None else bias.data_ptr(),
        out.data_ptr(),
        threads,
    )
    return out[:, : packed.n]


def rounded(x: Tensor, steps: int) -> Tensor:
    """Activations as the kernels round them: per row and group of 32, to ``steps`` parts of the largest."""
    groups = x.double().view(len(x), -1, 32)
    scale = groups.abs().amax(-1, keepdim=True) / steps
    return torch.where(scale > 0, torch.round(groups / scale) * scale, groups).view(x.shape)


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 13, 97, 200])
@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_a_product_is_that_of_the_dequantised_weights_and_the_rounded_activations(layout: Layout, rows: int) -> None:
    packed, x = matrix(layout), torch.randn(rows, K, generator=torch.Generator().manual_seed(rows))
    x[0, :32] = 0.0
    bias = torch.randn(40)
    expected = rounded(x, STEPS[layout]) @ packed.dequantize().double().T + bias
    actual = multiply(packed, x, bias)
    # a rounding that falls exactly between two steps may go either way, which moves a product by a step of one input
    assert (actual - expected).abs().max() <= 1e-4 * expected.abs().max()


@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_a_row_does_not_depend_on_the_batch_or_on_the_number_of_threads(layout: Layout) -> None:
    packed, x = matrix(layout), torch.randn(11, K)
    together = multiply(packed, x)
    alone = torch.cat([multiply(packed, x[i : i + 1].clone(), threads=1) for i in range(len(x))])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_the_largest_values_do_not_overflow(layout: Layout) -> None:
    values = np.tile(np.array([[7.0, -8.0]], np.float32), (8, K // 2))
    values[:, 1::2] = 7.0  # all weights of a group at the top of their range but one
    values[:, 0] = -8.0
    packed = pack(
        quantize_rows(values)
        if layout == "int8"
        else QuantizedRows("int4", gguf.quantize(values, gguf.GGMLQuantizationType.Q4_1))
    )
    for sign in (1.0, -1.0):
        x = torch.full((6, K), sign)
        expected = x.double() @ packed.dequantize().double().T
        assert torch.allclose(multiply(packed, x).double(), expected, rtol=1e-4)


@pytest.mark.parametrize("layout", ["int4", "int8"])
def test_a_product_after_a_norm_is_that_of_the_normed_rows(layout: Layout) -> None:
    packed, x, norm = matrix(layout), torch.randn(9, K), torch.rand(K)
    normed = torch.nn.functional.rms_norm(x, (K,), norm, EPS)
    expected = rounded(normed, STEPS[layout]) @ packed.dequantize().double().T
    assert (multiply(packed, x, norm=norm) - expected).abs().max() <= 2e-3 * expected.abs().max()


def test_a_row_of_an_embedding_is_looked_up_as_it_is() -> None:
    packed, ids = matrix("int8"), torch.tensor([0, 39, 8, 8])
    found = torch.empty(len(ids), K)
    library().adaptrix_rows(ctypes.byref(matrix_struct(packed)), ids.data_ptr(), len(ids), found.data_ptr())
    assert torch.equal(found, packed.dequantize()[ids])
