"""The engine as a system under comparison: without adapters, with them in the middle or on a band, and its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from adaptrix_core.engine import EngineOptions
from benchmarks.harness.workers import Rows, System
from benchmarks.harness.workload import GREEDY, MAX_STEP_TOKENS, NUM_ADAPTERS, assignment, load_base, make_engine, name
from benchmarks.roofline import matrix_products

NO_ADAPTER, ADAPTERS, ON_BAND, LIMIT = "no adapter", "8 adapters", "8 adapters on 15-29", "matrix products alone"


def case_name(precision: str, case: str) -> str:
    """What a case of the engine is called in the tables."""
    return f"Adaptrix {precision}, {case}"


def engine_system(prompts: Rows, threads: int, precision: str, middle: Path, band: Path) -> System:
    """One engine; its cases share weights, cache and process, so that they differ by the adapters alone."""
    torch.set_num_threads(threads)
    base = load_base(precision)
    options = EngineOptions(max_rows=len(prompts), max_batch_tokens=MAX_STEP_TOKENS, prefix_cache=False)
    engine = make_engine(base, middle, options)
    for adapter in map(name, range(NUM_ADAPTERS)):
        engine.load_adapter(middle / adapter)
        engine.load_adapter(band / adapter, name=_on_band(adapter))

    def generating(adapters: Callable[[int], Sequence[str | None]]) -> Callable[[int], Rows]:
        def generate(rows: int) -> Rows:
            completions = engine.generate(prompts[:rows], adapters(rows), GREEDY)
            return [list(completion.token_ids) for completion in completions]

        return generate

    cases: dict[str, Callable[[int], Rows | None]] = {
        NO_ADAPTER: generating(lambda rows: [None] * rows),
        ADAPTERS: generating(assignment),
        ON_BAND: generating(lambda rows: [_on_band(adapter) for adapter in assignment(rows)]),
    }
    products = matrix_products(base, precision)
    if products is not None:
        cases[LIMIT] = products
    return System(
        {case_name(precision, case): run for case, run in cases.items()}, {f"Adaptrix {precision}": base.info.dtype}
    )


def _on_band(adapter: str) -> str:
    return f"band-{adapter}"
