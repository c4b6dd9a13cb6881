"""Packing moves bytes and changes no weight; what has to be rounded is rounded to the nearest and its error told."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as GGML

from adaptrix_core.base.layouts import QuantizedRows, from_gguf, pack, quantize_rows, relative_error, stack_rows


def random_values(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32)


@pytest.mark.parametrize("n", [8, 24, 13])
@pytest.mark.parametrize("kind", [GGML.Q4_1, GGML.Q4_0, GGML.Q8_0])
def test_a_layout_that_the_file_has_keeps_every_weight_bit_for_bit(kind: GGML, n: int) -> None:
    data = gguf.quantize(random_values(n, 96), kind)
    rows, error = from_gguf(data, kind, "int4")
    packed = pack(rows)
    assert error == 0.0
    assert packed.layout == ("int8" if kind == GGML.Q8_0 else "int4")
    assert torch.equal(packed.dequantize(), torch.from_numpy(gguf.dequantize(data, kind)))


def test_packed_int4_weights_take_five_bits_each() -> None:
    rows, _ = from_gguf(gguf.quantize(random_values(64, 64), GGML.Q4_1), GGML.Q4_1, "int4")
    assert pack(rows).data.nbytes * 8 == 5 * 64 * 64


@pytest.mark.parametrize("kind", [GGML.Q5_0, GGML.F16, GGML.Q4_1])
def test_another_kind_is_rounded_to_eight_bits_and_the_error_is_told(kind: GGML) -> None:
    data = gguf.quantize(random_values(16, 64), kind)
    rows, error = from_gguf(data.view(np.uint8), kind, "int8")
    true = gguf.dequantize(data, kind).astype(np.float32)
    assert rows.layout == "int8"
    assert error == pytest.approx(relative_error(rows.floats(), true))
    assert 0.0 < error < 0.01


def test_rounding_is_to_the_nearest_step_of_each_group() -> None:
    values = random_values(8, 64) * np.repeat([[1.0, 1000.0]], 32, axis=1)
    steps = np.abs(values.reshape(8, 2, 32)).max(axis=-1, keepdims=True) / 127
    off = np.abs(quantize_rows(values).floats() - values).reshape(8, 2, 32)
    # the scale itself is of half precision, so the largest values may be one more two-thousandth of 127 steps off
    assert (off <= steps * (0.5 + 127 / 2048)).all()


def test_a_matrix_of_zeros_stays_one() -> None:
    assert not pack(quantize_rows(np.zeros((8, 32), np.float32))).dequantize().any()


def test_matrices_are_stacked_in_their_layout_and_in_int8_where_they_differ() -> None:
    four = QuantizedRows("int4", gguf.quantize(random_values(8, 32), GGML.Q4_1))
    eight = quantize_rows(random_values(16, 32, seed=1))
    assert np.array_equal(stack_rows([four, four]).rows, np.concatenate([four.rows, four.rows]))
    mixed = stack_rows([four, eight])
    assert (mixed.layout, len(mixed.rows)) == ("int8", 24)
    assert np.array_equal(mixed.rows[8:], eight.rows)
    assert relative_error(mixed.floats()[:8], four.floats()) < 0.01
