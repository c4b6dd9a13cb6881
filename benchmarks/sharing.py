"""What sharing the trunk saves: forks, a new mix on a known prompt, and the twentieth turn of a conversation.

    python -m benchmarks.sharing --repeats 5

Prefill times of a 512-token prompt at two cuts, with random adapters on all layers from the cut up. A fork is compared
with the same mixes computed cold in one batch; what the layer count alone would give is ``N·L / (k + N(L-k))`` for N
mixes, L layers and a cut at k. Layer-tokens are the engine's own counts, and must be exact.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from benchmarks.compare import environment
from benchmarks.workload import BASE

PROMPT_TOKENS, RANK, NUM_ADAPTERS = 512, 16, 8
MODULES = ("self_attn.q_proj", "mlp.up_proj")
FIRST = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True)


@dataclass(frozen=True)
class Row:
    """One comparison: seconds of the whole work and of the shared one, the layer-tokens computed, and the ideal."""

    case: str
    cut: int
    cold_s: float
    shared_s: float
    layer_tokens: int
    ideal: float
    """How many times faster the layer count alone makes it."""

    @property
    def gain(self) -> float:
        """How many times faster it was."""
        return self.cold_s / self.shared_s


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, nargs="+", default=[15, 20])
    parser.add_argument("--forks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    base = BaseModelManager(BASE).load_model()
    rows: list[Row] = []
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as directory:
        task = progress.add_task("measuring", total=len(given.cuts) * (len(given.forks) + 2) * given.repeats)
        for cut in given.cuts:
            bench = Bench(base, Path(directory) / str(cut), cut, given.repeats, lambda: progress.advance(task))
            rows += [bench.fork(width) for width in given.forks]
            rows += [bench.new_mix(), bench.turn()]
    show(rows)
    print(json.dumps({"benchmark": "sharing", **environment(), "results": [vars(r) | {"gain": r.gain} for r in rows]}))


class Bench:
    """One engine with a cut, and adapters that begin there."""

    def __init__(self, base: BaseModel, directory: Path, cut: int, repeats: int, advance: Callable[[], None]) -> None:
        self._base, self._cut, self._repeats, self._advance = base, cut, repeats, advance
        self._depth = base.info.num_layers
        options = EngineOptions(cut=cut, max_batch_tokens=8 * PROMPT_TOKENS, kv_cache_tokens=16 * PROMPT_TOKENS)
        self._engine = Engine(base, directory, TrustPolicy("off"), options)
        for name, weights in self._adapters().items():
            write_package(directory / name, describe(weights, base.info, name), weights)
            self._engine.load_adapter(name)
        self._names = list(self._adapters())
        self._seed = 0

    def fork(self, width: int) -> Row:
        """N mixes on one new prompt: each alone on a prompt of its own in one batch, against a fork."""
        cold, shared, counted = [], [], 0
        for _ in range(self._repeats):
            apart = [self._prompt() for _ in range(width)]
            cold.append(self._seconds(apart, self._names[:width]))
            prompt, before = self._prompt(), self._computed()
            shared.append(self._seconds([prompt], fork=self._names[:width]))
            counted = self._computed() - before
            self._advance()
        own = self._cut + width * (self._depth - self._cut)
        assert counted == PROMPT_TOKENS * own, (counted, PROMPT_TOKENS * own)
        return self._row(f"fork of {width}", cold, shared, counted, width * self._depth / own)

    def new_mix(self) -> Row:
        """A known prompt under an adapter that has not seen it."""
        cold, shared, counted = [], [], 0
        for _ in range(self._repeats):
            prompt = self._prompt()
            cold.append(self._seconds([prompt], self._names[:1]))
            before = self._computed()
            shared.append(self._seconds([prompt], self._names[1:2]))
            counted = self._computed() - before
            self._advance()
        branch = self._depth - self._cut
        assert counted == PROMPT_TOKENS * branch
        return self._row("known prompt, new mix", cold, shared, counted, self._depth / branch)

    def turn(self) -> Row:
        """The twentieth turn of a conversation, 24 tokens a turn, under the same adapter, against computing it cold."""
        cold, shared, counted = [], [], 0
        for _ in range(self._repeats):
            history = self._prompt(19 * 24)
            self._engine.generate([history], self._names[0], FIRST)
            asked = history + self._prompt(24)
            before = self._computed()
            shared.append(self._seconds([asked], self._names[:1]))
            counted = self._computed() - before
            fresh = self._prompt(20 * 24)
            cold.append(self._seconds([fresh], self._names[:1]))
            self._advance()
        return self._row("turn 20, same adapter", cold, shared, counted, 20 * 24 * self._depth / counted)

    def _row(self, case: str, cold: list[float], shared: list[float], counted: int, ideal: float) -> Row:
        return Row(case, self._cut, statistics.median(cold), statistics.median(shared), counted, ideal)

    def _adapters(self) -> dict[str, LoraWeights]:
        generator = torch.Generator().manual_seed(0)
        points = [p for p in self._base.points if p[0] >= self._cut and p[1] in MODULES]
        made = {}
        for number in range(NUM_ADAPTERS):
            weights = {}
            for point in points:
                spec = self._base.points[point]
                weights[point] = PointWeights(
                    torch.randn(RANK, spec.d_in, generator=generator) * 0.02,
                    torch.randn(spec.d_out, RANK, generator=generator) * 0.02,
                    1.0,
                )
            made[f"adapter-{number}"] = LoraWeights(weights)
        return made

    def _prompt(self, length: int = PROMPT_TOKENS) -> list[int]:
        self._seed += 1
        generator = torch.Generator().manual_seed(self._seed)
        return torch.randint(100, self._base.info.vocab_size, (length,), generator=generator).tolist()

    def _computed(self) -> int:
        return sum(span["computed"] for span in self._engine.stats()["layer_tokens"])

    def _seconds(
        self, prompts: list[list[int]], adapters: list[str] | None = None, fork: list[str] | None = None
    ) -> float:
        began = time.perf_counter()
        self._engine.generate(prompts, adapters, FIRST, fork)
        return time.perf_counter() - began


def show(rows: list[Row]) -> None:
    """Print the table."""
    table = Table(title=f"Prefill of {PROMPT_TOKENS} tokens, medians")
    for column in ("case", "cut", "apart, s", "shared, s", "times faster", "by layer count", "layer-tokens"):
        table.add_column(column, justify="left" if column == "case" else "right")
    for row in rows:
        table.add_row(
            row.case,
            str(row.cut),
            f"{row.cold_s:.2f}",
            f"{row.shared_s:.2f}",
            f"{row.gain:.2f}",
            f"{row.ideal:.2f}",
            str(row.layer_tokens),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
