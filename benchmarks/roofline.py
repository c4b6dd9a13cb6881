"""What this machine allows: memory bandwidth, matrix rate, and how fast each layout could go at best.

    python -m benchmarks.roofline --precisions int4 fp32

A decode step reads every weight once, whatever the number of rows, and multiplies and adds once per weight and row. So
it takes at least ``bytes / bandwidth`` and at least ``rows * flops / rate`` seconds, each measured here: bandwidth and
the rate of float32 products with torch, the rate of packed layouts with their own kernels on one large matrix. Beside
that bound stands what the layout's kernels reach when they compute all matrix products of a step and nothing else: no
attention, no norms, no sampling.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import gguf
import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F
from transformers.pytorch_utils import Conv1D

from adaptrix_core.base import BaseModel
from adaptrix_core.base.layouts import PackedMatrix, QuantizedRows, pack, quantize_rows
from adaptrix_core.base.manager import DTYPES
from adaptrix_core.base.packed_model import PackedModel, matrix_struct
from adaptrix_core.native import library
from benchmarks.harness import report
from benchmarks.harness.interleave import interleave, timed
from benchmarks.harness.intervals import Interval, of_rates
from benchmarks.harness.workload import (
    CONFIG,
    MAX_STEP_TOKENS,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    known_precisions,
    load_base,
)

STREAM_BYTES = 512 * 1024 * 1024
MATRIX_SIZE = 1536
STEPS_PER_REPEAT = 5
"""Single steps are short, so more of them are timed."""

Products = Callable[[int, int], None]
"""Computes all matrix products of one step: ``(tokens, rows)``, the head for the last token of each row only."""


@dataclass(frozen=True)
class Layout:
    """How a layout stores weights, and what its kernels can be made to compute alone."""

    products: Callable[[BaseModel], Products]
    rate: Callable[[int], float] | None = None
    """Operations per second of its own kernels on one large matrix, for a number of repeats; None: the machine's."""


def torch_products(base: BaseModel) -> Products:
    """Layouts that torch multiplies: the same `linear` calls that the model makes, on random states."""
    *weights, head = _matrices(base)
    widths = {weight.shape[1] for weight in (*weights, head)}
    inputs = {width: torch.randn(MAX_STEP_TOKENS, width).to(base.dtype) for width in widths}

    @torch.inference_mode()
    def products(tokens: int, rows: int) -> None:
        for weight in weights:
            F.linear(inputs[weight.shape[1]][:tokens], weight)
        F.linear(inputs[head.shape[1]][:rows], head)

    return products


def native_products(base: BaseModel) -> Products:
    """Packed layouts: every matrix of every layer by the native kernels, activations rounded on the way."""
    assert isinstance(base, PackedModel)
    *weights, head = [m for name, m in base.weights.matrices.items() if name != "embedding"] + [base.weights.head]
    inputs = {m.k: torch.randn(MAX_STEP_TOKENS, m.k) for m in (*weights, head)}
    outputs = {m.padded_n: torch.empty(MAX_STEP_TOKENS, m.padded_n) for m in (*weights, head)}

    def products(tokens: int, rows: int) -> None:
        for weight in weights:
            multiply(weight, inputs[weight.k], outputs[weight.padded_n], tokens)
        multiply(head, inputs[head.k], outputs[head.padded_n], rows)

    return products


def multiply(matrix: PackedMatrix, inputs: Tensor, output: Tensor, rows: int) -> None:
    """``rows`` of ``inputs`` times a packed matrix, into ``output``."""
    threads = torch.get_num_threads()
    struct = ctypes.byref(matrix_struct(matrix))
    library().adaptrix_linear(struct, None, 0.0, inputs.data_ptr(), rows, None, output.data_ptr(), threads)


def native_rate(layout: Literal["int4", "int8"], repeats: int) -> float:
    """Operations per second of one packed product that is large and lies in the caches."""
    rows = quantize_rows(torch.randn(MATRIX_SIZE, MATRIX_SIZE).numpy())
    if layout == "int4":
        rows = QuantizedRows("int4", gguf.quantize(rows.floats(), gguf.GGMLQuantizationType.Q4_1))
    matrix, inputs, output = pack(rows), torch.randn(192, MATRIX_SIZE), torch.empty(192, MATRIX_SIZE)
    return _rates(lambda: multiply(matrix, inputs, output, 192), 2.0 * 192 * MATRIX_SIZE**2, repeats).median


@dataclass(frozen=True)
class Machine:
    """What was measured of it."""

    bandwidth: float
    """Bytes per second."""
    rate: float
    """Operations per second of the layout's products; of float32 ones unless it has its own."""

    def step_seconds(self, num_bytes: float, flops: float) -> float:
        """The least that a step can take."""
        return max(num_bytes / self.bandwidth, flops / self.rate)


@dataclass(frozen=True)
class Row:
    """One layout at one number of rows."""

    layout: str
    rows: int
    step_mb: float
    token_mflop: float
    bound: float
    """Tokens per second."""
    products: Interval
    """Tokens per second."""


LAYOUTS: Mapping[str, Layout] = {
    "int4": Layout(native_products, partial(native_rate, "int4")),
    "int8": Layout(native_products, partial(native_rate, "int8")),
    "fp32": Layout(torch_products),
    "bf16": Layout(torch_products),
    "fp16": Layout(torch_products),
}
"""By precision."""


def matrix_products(base: BaseModel, precision: str) -> Callable[[int], None] | None:
    """The matrix products of a whole generation of that many rows, prompts included; None for an unknown layout."""
    layout = LAYOUTS.get(layout_of(base, precision))
    if layout is None:
        return None
    products = layout.products(base)

    def generation(rows: int) -> None:
        for start in range(0, rows * PROMPT_TOKENS, MAX_STEP_TOKENS):
            products(min(MAX_STEP_TOKENS, rows * PROMPT_TOKENS - start), rows)
        for _ in range(OUTPUT_TOKENS - 1):
            products(rows, rows)

    return generation


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    parser = report.parser(__doc__)
    parser.add_argument("--precisions", nargs="+", default=["int4", "fp32"])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    given = parser.parse_args()
    with Console(stderr=True).status("measuring bandwidth and matrix rate"):
        bandwidth = measure_bandwidth(given.repeats)
        rate = measure_matrix_rate(given.repeats)
    report.table(
        f"This machine, {torch.get_num_threads()} threads",
        ("what", "measured"),
        [
            ("memory read (sum of 512 MiB), GB/s", bandwidth.text(1)),
            (f"float32 products of {MATRIX_SIZE} × {MATRIX_SIZE}, Gflop/s", rate.text(0)),
        ],
    )
    precisions, missing = known_precisions(given.precisions)
    machine = Machine(bandwidth.median * 1e9, rate.median * 1e9)
    rows = [row for precision in precisions for row in measure_layout(precision, given.rows, given.repeats, machine)]
    show(rows)
    for system, reason in missing.items():
        print(f"skipped: {system}: {reason}")
    report.finish(
        "roofline",
        given.json,
        config=CONFIG,
        bandwidth_gb_s=bandwidth,
        matrix_gflop_s=rate,
        results=rows,
        skipped=missing,
    )


def measure_bandwidth(repeats: int) -> Interval:
    """GB/s of reading memory that no cache holds."""
    data = torch.ones(STREAM_BYTES // 4)
    data.sum()
    return _rates(lambda: data.sum(), STREAM_BYTES / 1e9, repeats)


def measure_matrix_rate(repeats: int) -> Interval:
    """Gflop/s of a large float32 product."""
    left, right = torch.randn(MATRIX_SIZE, MATRIX_SIZE), torch.randn(MATRIX_SIZE, MATRIX_SIZE)
    left @ right
    return _rates(lambda: left @ right, 2 * MATRIX_SIZE**3 / 1e9, repeats)


def measure_layout(precision: str, row_counts: Sequence[int], repeats: int, machine: Machine) -> list[Row]:
    """The bound of one layout and what its kernels reach, for each number of rows."""
    base = load_base(precision)
    name = layout_of(base, precision)
    layout = LAYOUTS.get(name)
    if layout is None:
        print(f"skipped: {name}: its products are not in benchmarks/roofline.py")
        return []
    num_weights = sum(weight.numel() for weight in _matrices(base))
    step_bytes, token_flops = float(base.memory_bytes), 2.0 * num_weights
    if layout.rate is not None:
        machine = replace(machine, rate=layout.rate(repeats))
    products = layout.products(base)
    timings = interleave(
        {rows: timed(partial(products, rows, rows)) for rows in row_counts}, repeats * STEPS_PER_REPEAT, 5.0, name
    )
    return [
        Row(
            name,
            rows,
            step_bytes / 1e6,
            token_flops / 1e6,
            rows / machine.step_seconds(step_bytes, rows * token_flops),
            of_rates(timings[rows], rows),
        )
        for rows in row_counts
    ]


def layout_of(base: BaseModel, precision: str) -> str:
    """The layout's name where the precision says `auto`."""
    by_dtype = {dtype: name for name, dtype in DTYPES.items()}
    return by_dtype[base.dtype] if precision == "auto" else precision


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    report.table(
        "Decode steps, tokens per second",
        ("layout", "rows", "MB per step", "Mflop per token", "bound", "matrix products alone", "of the bound"),
        [
            (
                row.layout,
                str(row.rows),
                f"{row.step_mb:.0f}",
                f"{row.token_mflop:.0f}",
                f"{row.bound:.0f}",
                row.products.text(),
                f"{row.products.median / row.bound:.0%}",
            )
            for row in rows
        ],
    )


def _rates(run: Callable[[], object], work: float, repeats: int) -> Interval:
    return of_rates(interleave({"": timed(run)}, repeats)[""], work)


def _matrices(base: BaseModel) -> list[Tensor]:
    """Every weight that a decode step multiplies with, ``(d_out, d_in)``, the head last."""
    paths = dict.fromkeys((spec.layer, spec.module_path) for spec in base.points.values())
    layers = base.family.layers(base.module)
    return [_weight(layers[at].get_submodule(path)) for at, path in paths] + [
        _weight(base.module.get_output_embeddings())
    ]


def _weight(module: Any) -> Tensor:
    weight: Tensor = module.weight
    return weight.T if isinstance(module, Conv1D) else weight


if __name__ == "__main__":
    main()
