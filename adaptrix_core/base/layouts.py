"""Packed weight matrices: 4-bit and 8-bit layouts that the native kernels multiply with.

GGUF's Q4_1 (a group of 32 inputs shares a scale and a minimum) and Q8_0 (a scale) are kept bit for bit: packing only
moves bytes, into blocks of 8 outputs in the order in which `native/src/matmul.h` reads them. Q4_0 is Q4_1 with minimum
``-8 * scale``. Everything else becomes Q8_0, which rounds. Knows arrays, not models, files or kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from gguf import GGMLQuantizationType as GGML
from gguf import dequantize as gguf_dequantize
from numpy.typing import NDArray
from torch import Tensor

Layout = Literal["int4", "int8"]

GROUP = 32
"""Inputs that share a scale."""
OUTPUTS = 8
"""Outputs in a block."""
GROUP_BYTES = {"int4": 128 + 16 + 16, "int8": 256 + 16}
"""Bytes of one group of one block: weights, scales and (int4) minima."""
KEPT_TYPES = frozenset({"Q4_0", "Q4_1", "Q8_0"})
"""GGUF's types that packing represents exactly; others are rounded to int8."""


@dataclass(frozen=True)
class PackedMatrix:
    """A matrix ``(n, k)`` in packed form; ``n`` is padded with zero outputs to a multiple of 8."""

    layout: Layout
    n: int
    k: int
    data: Tensor
    """``(blocks * groups * GROUP_BYTES[layout],)`` uint8."""

    @property
    def padded_n(self) -> int:
        """Number of outputs in the packed bytes, padding included."""
        return -(-self.n // OUTPUTS) * OUTPUTS

    def dequantize(self) -> Tensor:
        """The weights that the bytes represent, ``(n, k)`` float32."""
        groups = self.data.numpy().reshape(self.padded_n // OUTPUTS, self.k // GROUP, GROUP_BYTES[self.layout])
        values = _unpack_int4(groups) if self.layout == "int4" else _unpack_int8(groups)
        # (blocks, groups, 8, 32) -> (n, k)
        return torch.from_numpy(values.transpose(0, 2, 1, 3).reshape(self.padded_n, self.k)[: self.n].copy())


@dataclass(frozen=True)
class QuantizedRows:
    """A matrix in GGUF's own form: one row of bytes per output."""

    layout: Layout
    rows: NDArray[np.uint8]
    """``(n, k / 32 * 20)`` for int4 (Q4_1), ``(n, k / 32 * 34)`` for int8 (Q8_0)."""

    @property
    def k(self) -> int:
        """Number of inputs."""
        width: int = self.rows.shape[1] // (20 if self.layout == "int4" else 34) * GROUP
        return width

    def floats(self) -> NDArray[np.float32]:
        """The weights, ``(n, k)`` float32."""
        kind = GGML.Q4_1 if self.layout == "int4" else GGML.Q8_0
        values: NDArray[np.float32] = gguf_dequantize(self.rows, kind)
        return values


def quantize_rows(values: NDArray[np.float32]) -> QuantizedRows:
    """Round ``(n, k)`` floats to Q8_0: 8 bits and a scale of half precision per group."""
    groups = values.reshape(values.shape[0], -1, GROUP)
    scales = (np.abs(groups).max(axis=-1, keepdims=True) / 127).astype(np.float16)
    inverse = np.divide(1.0, scales, out=np.zeros_like(scales, dtype=np.float32), where=scales > 0, dtype=np.float32)
    rounded = np.clip(np.rint(groups * inverse), -127, 127).astype(np.int8)
    rows = np.concatenate([scales.view(np.uint8), rounded.view(np.uint8)], axis=-1)
    return QuantizedRows("int8", rows.reshape(values.shape[0], -1))


def from_gguf(data: NDArray[np.uint8], kind: GGML, layout: Layout) -> tuple[QuantizedRows, float]:
    """A GGUF tensor's rows in ``layout`` where the file has that, else in int8; and the relative error of the rounding.

    data: ``(n, bytes of a row)`` as in the file. The error is ``|w' - w| / |w|`` in the Frobenius norm.
    """
    if kind == GGML.Q8_0:
        return QuantizedRows("int8", data), 0.0
    if kind == GGML.Q4_1 and layout == "int4":
        return QuantizedRows("int4", data), 0.0
    if kind == GGML.Q4_0 and layout == "int4":
        return QuantizedRows("int4", _with_minima(data)), 0.0
    values = gguf_dequantize(data, kind).astype(np.float32)
    rows = quantize_rows(values)
    return rows, relative_error(rows.floats(), values)


def relative_error(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """``|actual - expected| / |expected|`` in the Frobenius norm; 0 for an expectation of zeros."""
    size = float(np.linalg.norm(expected))
    return float(np.linalg.norm(actual - expected)) / size if size else 0.0


def stack_rows(parts: list[QuantizedRows]) -> QuantizedRows:
    """Matrices with equal inputs as one; all in int8 if one of them is."""
    if len({part.layout for part in parts}) > 1:
        parts = [part if part.layout == "int8" else quantize_rows(part.floats()) for part in parts]
    return QuantizedRows(parts[0].layout, np.concatenate([part.rows for part in parts]))


def pack(matrix: QuantizedRows) -> PackedMatrix:
    """Arrange a matrix for the kernels."""
    n, padding = len(matrix.rows), -len(matrix.rows) % OUTPUTS
    rows = np.pad(matrix.rows, ((0, padding), (0, 0)))
    # (blocks, 8, groups, bytes of a group)
    groups = rows.reshape(-1, OUTPUTS, matrix.k // GROUP, 20 if matrix.layout == "int4" else 34)
    packed = _pack_int4(groups) if matrix.layout == "int4" else _pack_int8(groups)
    return PackedMatrix(matrix.layout, n, matrix.k, torch.from_numpy(packed.reshape(-1)))


def _pack_int4(groups: NDArray[np.uint8]) -> NDArray[np.uint8]:
    blocks, _, count, _ = groups.shape
    scales, minima, nibbles = groups[..., 0:2], groups[..., 2:4], groups[..., 4:20]
    # four inputs of each of the 8 outputs side by side: (blocks, groups, 4, 8, 4)
    weights = nibbles.reshape(blocks, OUTPUTS, count, 4, 4).transpose(0, 2, 3, 1, 4).reshape(blocks, count, 128)
    heads = [part.transpose(0, 2, 1, 3).reshape(blocks, count, 16) for part in (scales, minima)]
    return np.concatenate([weights, *heads], axis=-1)


def _pack_int8(groups: NDArray[np.uint8]) -> NDArray[np.uint8]:
    blocks, _, count, _ = groups.shape
    scales, weights = groups[..., 0:2], groups[..., 2:34]
    # two inputs of each of the 8 outputs side by side: (blocks, groups, 16, 8, 2)
    pairs = weights.reshape(blocks, OUTPUTS, count, 16, 2).transpose(0, 2, 3, 1, 4).reshape(blocks, count, 256)
    return np.concatenate([pairs, scales.transpose(0, 2, 1, 3).reshape(blocks, count, 16)], axis=-1)


def _unpack_int4(groups: NDArray[np.uint8]) -> NDArray[np.float32]:
    blocks, count, _ = groups.shape
    nibbles = groups[..., :128].reshape(blocks, count, 4, OUTPUTS, 4).transpose(0, 1, 3, 2, 4)
    nibbles = nibbles.reshape(blocks, count, OUTPUTS, 16)
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32)
    scales, minima = (_halves(groups[..., start : start + 16]) for start in (128, 144))
    return values * scales + minima


def _unpack_int8(groups: NDArray[np.uint8]) -> NDArray[np.float32]:
    blocks, count, _ = groups.shape
    pairs = groups[..., :256].reshape(blocks, count, 16, OUTPUTS, 2).transpose(0, 1, 3, 2, 4)
    values = np.ascontiguousarray(pairs).view(np.int8).reshape(blocks, count, OUTPUTS, GROUP).astype(np.float32)
    return values * _halves(groups[..., 256:272])


def _halves(data: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(data).view(np.float16).astype(np.float32)[..., None]


def _with_minima(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Q4_0 rows as Q4_1: ``scale * (q - 8)`` is ``scale * q + (-8 * scale)``, exact in half precision."""
    groups = rows.reshape(len(rows), -1, 18)
    minima = (np.ascontiguousarray(groups[..., :2]).view(np.float16) * np.float16(-8)).view(np.uint8)
    return np.concatenate([groups[..., :2], minima, groups[..., 2:]], axis=-1).reshape(len(rows), -1)
