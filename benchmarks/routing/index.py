"""What the plain matrix of the embedding signal costs a decision, by the number of adapters."""

from __future__ import annotations

import statistics
import time

import numpy as np

DIMENSION = 384
"""Of the packaged embedder."""
SIZES = (100, 1_000, 10_000, 100_000)
TURNS = 30


def run_index() -> dict[str, object]:
    """Median milliseconds of the product, on random vectors."""
    chance = np.random.default_rng(1)
    result: dict[str, object] = {}
    for size in SIZES:
        weights = chance.standard_normal((size, DIMENSION), np.float32)
        row = chance.standard_normal(DIMENSION, np.float32)
        times = []
        for _ in range(TURNS):
            started = time.perf_counter()
            np.vecdot(weights, row)
            times.append(1000 * (time.perf_counter() - started))
        print(f"{size:7} adapters  {statistics.median(times):8.3f} ms  {weights.nbytes / 2**20:6.1f} MiB")
        result[str(size)] = round(statistics.median(times), 4)
    return {"ms": result}
