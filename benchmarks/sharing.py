"""What sharing the trunk saves: forks, a new mix on a known prompt, and the twentieth turn of a conversation.

    python -m benchmarks.sharing --repeats 5

Prefill times of a 512-token prompt at two cuts, with random adapters on all layers from the cut up. A fork is compared
with the same mixes computed cold in one batch; what the layer count alone would give is ``N·L / (k + N(L-k))`` for N
mixes, L layers and a cut at k. The twentieth turn of a conversation is asked under the adapter of the earlier turns, or
under another one, which has the branch to compute. Layer-tokens are the engine's own counts, and must be exact.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.progress import Progress

from adaptrix_core.base import BaseModel
from adaptrix_core.engine import EngineOptions, SamplingParams
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, Timing, of_speedup, of_values
from benchmarks.harness.report import Check
from benchmarks.harness.workload import NUM_ADAPTERS, load_base, make_engine, name, random_tokens, write_adapters

PROMPT_TOKENS, TURN_TOKENS, TURNS = 512, 24, 20
FIRST = SamplingParams(max_tokens=1, temperature=0.0, ignore_eos=True)
FORK_SHARE = 0.9
"""Of the gain by layer count, that a fork should reach."""
NEW_MIX_FACTOR = 1.15
"""Times the branch's share of a cold prefill, that a new mix on a known prompt may take."""


@dataclass(frozen=True)
class Row:
    """One comparison of the whole work with the shared one."""

    case: str
    cut: int
    cold_s: Interval
    shared_s: Interval
    gain: Interval
    """How many times faster the shared work was."""
    layer_tokens: int
    """Computed for it."""
    ideal: float
    """How many times faster the layer count alone makes it."""
    wanted: float | None
    """The gain that is asked for."""


def main() -> None:
    """Measure, print the tables, end with a line of JSON."""
    parser = report.with_precision(report.parser(__doc__))
    parser.add_argument("--cuts", type=int, nargs="+", default=[15, 20])
    parser.add_argument("--forks", type=int, nargs="+", default=[2, 4, 8])
    given = parser.parse_args()
    base = load_base(given.precision)
    rows: list[Row] = []
    with Progress(transient=True) as progress, tempfile.TemporaryDirectory() as directory:
        task = progress.add_task("measuring", total=len(given.cuts) * (len(given.forks) + 3) * given.repeats)
        for cut in given.cuts:
            bench = Bench(base, Path(directory) / str(cut), cut, given.repeats, lambda: progress.advance(task))
            rows += [bench.fork(width) for width in given.forks]
            rows += [bench.new_mix(), bench.turn(same=True), bench.turn(same=False)]
    show(rows)
    checks = [Check(f"cut {row.cut}: {row.case}", row.gain, row.wanted) for row in rows if row.wanted is not None]
    report.show_checks(checks)
    report.finish(
        "sharing",
        given.json,
        precision=given.precision,
        dtype=base.info.dtype,
        results=[asdict(row) for row in rows],
        checks=report.checks_json(checks),
    )


class Bench:
    """One engine with a cut, and adapters that begin there."""

    def __init__(self, base: BaseModel, directory: Path, cut: int, repeats: int, advance: Callable[[], None]) -> None:
        self._cut, self._repeats, self._advance = cut, repeats, advance
        self._depth, self._vocab_size = base.info.num_layers, base.info.vocab_size
        options = EngineOptions(cut=cut, max_batch_tokens=8 * PROMPT_TOKENS, kv_cache_tokens=16 * PROMPT_TOKENS)
        self._block_size = options.block_size
        self._engine = make_engine(base, directory, options)
        self._names = write_adapters(base, directory, NUM_ADAPTERS, range(cut, self._depth))
        for adapter in self._names:
            self._engine.load_adapter(adapter)
        self._seed = 0

    def fork(self, width: int) -> Row:
        """N mixes on one new prompt: each alone on a prompt of its own in one batch, against a fork."""
        cold, shared, counted = [], [], 0
        for _ in range(self._repeats):
            apart = [self._prompt() for _ in range(width)]
            cold.append(self._timed(apart, self._names[:width]))
            prompt, before = self._prompt(), self._computed()
            shared.append(self._timed([prompt], fork=self._names[:width]))
            counted = self._computed() - before
            self._advance()
        own = self._cut + width * (self._depth - self._cut)
        assert counted == PROMPT_TOKENS * own, (counted, PROMPT_TOKENS * own)
        ideal = width * self._depth / own
        return self._row(f"fork of {width}", cold, shared, counted, ideal, FORK_SHARE * ideal)

    def new_mix(self) -> Row:
        """A known prompt under an adapter that has not seen it."""
        cold, shared, counted = [], [], 0
        for _ in range(self._repeats):
            prompt = self._prompt()
            cold.append(self._timed([prompt], self._names[:1]))
            before = self._computed()
            shared.append(self._timed([prompt], self._names[1:2]))
            counted = self._computed() - before
            self._advance()
        branch = self._depth - self._cut
        assert counted == PROMPT_TOKENS * branch, (counted, PROMPT_TOKENS * branch)
        ideal = self._depth / branch
        return self._row("known prompt, new mix", cold, shared, counted, ideal, ideal / NEW_MIX_FACTOR)

    def turn(self, same: bool) -> Row:
        """The twentieth turn under the adapter of the other turns, or another one, against computing it cold."""
        cold, shared, counted = [], [], 0
        whole = TURNS * TURN_TOKENS
        for _ in range(self._repeats):
            history = self._prompt(whole - TURN_TOKENS)
            self._engine.generate([history], name(0), FIRST)
            asked = history + self._prompt(TURN_TOKENS)
            before = self._computed()
            shared.append(self._timed([asked], [name(0 if same else 1)]))
            counted = self._computed() - before
            cold.append(self._timed([self._prompt(whole)], [name(0)]))
            self._advance()
        # Whole blocks are taken over: the new tokens, and what the earlier turns left of a block.
        new = whole - (whole - TURN_TOKENS) // self._block_size * self._block_size
        expected = new * self._depth if same else new * self._cut + whole * (self._depth - self._cut)
        assert counted == expected, (counted, expected)
        ideal = whole * self._depth / counted
        wanted = None if same else ideal / NEW_MIX_FACTOR
        return self._row(
            f"turn {TURNS}, {'the same' if same else 'another'} adapter", cold, shared, counted, ideal, wanted
        )

    def _row(
        self,
        case: str,
        cold: Sequence[Timing],
        shared: Sequence[Timing],
        counted: int,
        ideal: float,
        wanted: float | None,
    ) -> Row:
        seconds = [of_values([timing.seconds for timing in timings]) for timings in (cold, shared)]
        return Row(case, self._cut, seconds[0], seconds[1], of_speedup(shared, cold), counted, ideal, wanted)

    def _prompt(self, length: int = PROMPT_TOKENS) -> list[int]:
        self._seed += 1
        return random_tokens(length, self._seed, self._vocab_size)

    def _computed(self) -> int:
        return sum(span["computed"] for span in self._engine.stats()["layer_tokens"])

    def _timed(
        self, prompts: list[list[int]], adapters: list[str] | None = None, fork: list[str] | None = None
    ) -> Timing:
        began = time.perf_counter()
        self._engine.generate(prompts, adapters, FIRST, fork)
        return Timing(began, time.perf_counter() - began)


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    report.table(
        f"Prefill of {PROMPT_TOKENS} tokens (turns: {TURNS * TURN_TOKENS}), medians",
        ("case", "cut", "apart, s", "shared, s", "times faster", "by layer count", "wanted", "layer-tokens"),
        [
            (
                row.case,
                str(row.cut),
                f"{row.cold_s.median:.2f}",
                f"{row.shared_s.median:.2f}",
                row.gain.text(2),
                f"{row.ideal:.2f}",
                "" if row.wanted is None else f"{row.wanted:.2f}",
                str(row.layer_tokens),
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
