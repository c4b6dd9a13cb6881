"""The kernels' records and functions, as ctypes sees them.

Fields mirror `src/stack.cpp`, `encoder.h`, `matmul.h` and `lora.h`.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p
from typing import Any

import numpy as np

LAYOUT_CODES = {"int4": 4, "int8": 8}
BANK_CODES = {"float32": 0, "float16": 1, "int8": 2}


class Matrix(Structure):
    """A packed matrix."""

    _fields_ = (("data", c_void_p), ("layout", c_int32), ("n", c_int32), ("k", c_int32))


class Layer(Structure):
    """One decoder layer."""

    _fields_ = (
        ("qkv", Matrix),
        ("o", Matrix),
        ("gate_up", Matrix),
        ("down", Matrix),
        ("input_norm", c_void_p),
        ("post_norm", c_void_p),
        ("qkv_bias", c_void_p),
        ("q_norm", c_void_p),
        ("k_norm", c_void_p),
        ("keys", c_void_p),
        ("values", c_void_p),
        ("window", c_int64),
    )


class Model(Structure):
    """All layers, and what they have in common."""

    _fields_ = (
        ("hidden", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("inner", c_int32),
        ("num_layers", c_int32),
        ("eps", c_float),
        ("scale", c_float),
        ("layers", POINTER(Layer)),
        ("block_size", c_int32),
        ("padding", c_int32),
    )


class Places(Structure):
    """Where one span of layers keeps a step's rows."""

    _fields_ = (
        ("end", c_int32),
        ("padding", c_int32),
        ("tables", c_void_p),
        ("stride", c_int64),
        ("states", c_void_p),
    )


class Step(Structure):
    """One pass over consecutive spans of layers."""

    _fields_ = (
        ("tokens", c_int32),
        ("first_layer", c_int32),
        ("last_layer", c_int32),
        ("threads", c_int32),
        ("hidden", c_void_p),
        ("cosine", c_void_p),
        ("sine", c_void_p),
        ("rows", c_void_p),
        ("positions", c_void_p),
        ("places", POINTER(Places)),
        ("longest", c_int64),
        ("terms", c_void_p),
        ("term_starts", c_void_p),
    )


class Norm(Structure):
    """A LayerNorm."""

    _fields_ = (("weight", c_void_p), ("shift", c_void_p))


class EncoderLayer(Structure):
    """One layer of an encoder."""

    _fields_ = (
        ("qkv", Matrix),
        ("attended", Matrix),
        ("up", Matrix),
        ("down", Matrix),
        ("qkv_bias", c_void_p),
        ("attended_bias", c_void_p),
        ("up_bias", c_void_p),
        ("down_bias", c_void_p),
        ("attended_norm", Norm),
        ("norm", Norm),
    )


class EncoderModel(Structure):
    """All layers of an encoder, and how many threads may help."""

    _fields_ = (
        ("hidden", c_int32),
        ("heads", c_int32),
        ("inner", c_int32),
        ("num_layers", c_int32),
        ("eps", c_float),
        ("helpers", c_int32),
        ("layers", POINTER(EncoderLayer)),
    )


TERM = np.dtype(
    [
        ("layer", np.int32),
        ("point", np.int32),
        ("rank", np.int32),
        ("type", np.int32),
        ("d_in", np.int32),
        ("d_out", np.int32),
        ("count", np.int32),
        ("padding", np.int32),
        *((name, np.uint64) for name in ("a", "b", "a_scales", "b_scales", "tokens", "weights", "inner")),
    ]
)
"""`Term`: one adapter at one injection point, and its tokens. Pointers are addresses."""


def declare(library: ctypes.CDLL) -> None:
    """Give the library's functions their argument types."""
    functions: dict[str, tuple[tuple[Any, ...], Any]] = {
        "adaptrix_stack_new": ((POINTER(Model),), c_void_p),
        "adaptrix_stack_free": ((c_void_p,), None),
        "adaptrix_stack_run": ((c_void_p, POINTER(Step)), None),
        "adaptrix_encoder_new": ((POINTER(EncoderModel),), c_void_p),
        "adaptrix_encoder_free": ((c_void_p,), None),
        "adaptrix_encoder_run": ((c_void_p, c_void_p, c_void_p, c_int32), None),
        "adaptrix_linear": (
            (POINTER(Matrix), c_void_p, c_float, c_void_p, c_int32, c_void_p, c_void_p, c_int32),
            None,
        ),
        "adaptrix_rows": ((POINTER(Matrix), c_void_p, c_int64, c_void_p), None),
    }
    for name, (arguments, result) in functions.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
