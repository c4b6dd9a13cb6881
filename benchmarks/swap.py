"""How long an adapter takes from host memory to the device, and from disk to host memory with its signature checked.

    python -m benchmarks.swap

The swapped adapter has at least 1 MiB in the base model's number format, and its slot is taken from another one, so a
swap is an eviction and an injection. A cold load reads a signed package that the engine does not hold, hashes it,
verifies the signature, checks it against the base model, and makes tensors; once with the files in the system's cache,
and once dropped from it.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.progress import track

from adaptrix_core.adapters import TrustPolicy, describe, generate_key_pair, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.engine.compute.backend import backend_of
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, of_values
from benchmarks.harness.report import Check
from benchmarks.harness.workload import load_base, random_adapters

ADAPTER_BYTES = 1024 * 1024
SWAP_MS, COLD_LOAD_MS = 2.0, 60.0
"""Targets."""


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__, repeats=30))
    given = parser.parse_args()
    base = load_base(given.precision)
    with tempfile.TemporaryDirectory() as directory:
        bench = Bench(base, Path(directory))
        swap = bench.measure("host to device", given.repeats, bench.swap)
        cached = bench.measure("cold load", given.repeats, bench.load)
        dropped = bench.measure("cold load, files not cached", given.repeats, bench.load_from_disk)
    rows = {
        f"swap, host to device, {bench.device_bytes / 1e6:.2f} MB": swap,
        "load with signature check, files in the system's cache": cached,
        "load with signature check, files not in it": dropped,
    }
    report.table("Milliseconds", ("what", "median"), [(what, value.text(2)) for what, value in rows.items()])
    checks = [
        Check("swap, ms", swap, SWAP_MS, at_most=True),
        Check("load with signature check, ms", cached, COLD_LOAD_MS, at_most=True),
    ]
    report.show_checks(checks)
    report.finish(
        "swap",
        given.json,
        precision=given.precision,
        dtype=base.info.dtype,
        adapter_bytes=bench.device_bytes,
        results={"swap_ms": swap, "cold_load_ms": cached, "uncached_load_ms": dropped},
        checks=report.checks_json(checks),
    )


class Bench:
    """Two signed adapters, and an engine whose device holds one of them."""

    def __init__(self, base: BaseModel, directory: Path) -> None:
        private, trusted = directory / "signing.key", directory / "trusted"
        generate_key_pair(private, trusted / "bench.pub")
        self._paths: list[Path] = []
        [(_, smallest)] = random_adapters(base, 1, rank=1)
        bytes_per_rank = backend_of(base, EngineOptions()).injector.device_bytes(smallest)
        rank = -(-ADAPTER_BYTES // bytes_per_rank)
        self.device_bytes = rank * bytes_per_rank
        for name, weights in random_adapters(base, 2, rank=rank):
            self._paths.append(directory / "adapters" / name)
            write_package(self._paths[-1], describe(weights, base.info, name), weights, private_key=private)
        self._engine = Engine(
            base,
            directory / "adapters",
            TrustPolicy("require", trusted),
            EngineOptions(),
            device_budget_bytes=self.device_bytes,
            preload=False,
        )
        self._digests = [self._engine.loader.load(path).weights_digest for path in self._paths]

    def measure(self, what: str, repeats: int, run: Callable[[int], float]) -> Interval:
        """Milliseconds of ``run``, which is told its number and answers seconds; the first two do not count."""
        return of_values([1000 * run(number) for number in track(range(repeats + 2), what, transient=True)][2:])

    def swap(self, number: int) -> float:
        """Put the adapter on the device that is not there."""
        wanted = [self._digests[number % 2]]
        began = time.perf_counter()
        placed = self._engine.loader.acquire_slots(wanted)
        seconds = time.perf_counter() - began
        assert placed, "no room on the device"
        self._engine.loader.release_slots(wanted)
        return seconds

    def load(self, number: int) -> float:
        """Forget an adapter and load it again."""
        path = self._paths[number % 2]
        self._engine.unload_adapter(path.name)
        began = time.perf_counter()
        self._engine.load_adapter(path)
        return time.perf_counter() - began

    def load_from_disk(self, number: int) -> float:
        """The same, after the system was told to drop the files."""
        for file in self._paths[number % 2].iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())  # only what is written can be dropped
                os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return self.load(number)


if __name__ == "__main__":
    main()
