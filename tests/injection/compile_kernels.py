"""Compile the Triton kernels down to machine code for an NVIDIA GPU, which needs none: ``python -m`` this module.

Prints a line for each: kernel, number format, and whether it multiplies on tensor cores.
"""

from __future__ import annotations

import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from adaptrix_core.injection.backends import triton_kernels

TARGET = GPUTarget("cuda", 80, 32)
CONSTANTS = {"TILE": 16, "RANK_BLOCK": 16, "BLOCK": 64}
INDICES = ("order", "tiles", "slots")
POINTERS = dict.fromkeys(INDICES, "*i32") | {"factors": "*fp32", "scalings": "*fp32", "records": "*i64"}
DATA = ("inputs", "output", "shrunk")
ALIGNED = {*DATA, "input_row", "output_row", "shrunk_row", "shrunk_term", "d_in", "d_out", "head_dim"}
"""Arguments that are multiples of 16 on a real model."""


def compile_kernel(kernel: Any, dtype: str) -> str:
    types = dict.fromkeys(DATA, "*" + dtype) | POINTERS | dict.fromkeys(CONSTANTS, "constexpr")
    names = kernel.arg_names
    source = ASTSource(
        kernel,
        {name: types.get(name, "i32") for name in names},
        {(names.index(name),): value for name, value in CONSTANTS.items()},
        {(names.index(name),): [["tt.divisibility", 16]] for name in names if name in ALIGNED},
    )
    compiled = triton.compile(source, target=TARGET)
    assert compiled.asm["cubin"]
    return str(compiled.asm["ptx"])


if __name__ == "__main__":
    for kernel in (triton_kernels._shrink, triton_kernels._expand):
        for dtype in ("bf16", "fp16", "fp32"):
            products = "tensor-cores" if "mma.sync" in compile_kernel(kernel, dtype) else "ordinary"
            sys.stdout.write(f"{kernel.fn.__name__} {dtype} {products}\n")
