"""Named adapters over HTTP under two versions of this repository, in turns: has a change made requests slower?

    git worktree add ../before COMMIT
    python -m benchmarks.service.versions --before ../before

Each version runs from its own checkout with its own `serve_config.yaml`, both at once, as `make serve` starts them;
what either costs while it is not asked disturbs both. They are asked in turns, each as often first: a single
request of a new question to a named adapter until its first token, and a burst of 32 streams. What is compared is the
ratio inside of a turn.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import Progress

from adaptrix_core.places import project_root
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, Timing, of_rates, of_speedup, of_values
from benchmarks.harness.report import Check
from benchmarks.harness.streams import stream, streams
from benchmarks.harness.workload import OUTPUT_TOKENS, PROMPT_TOKENS, random_tokens
from loadtest.system import read_config, serving

STREAMS = 32
LONE = 8
"""Single requests in a turn."""
PATH = "/v1/completions"
VOCABULARY = 40_000
"""Prompts are random tokens below this one, all of them ordinary."""
ADAPTERS = ("math_reasoning", "logical_reasoning", "code_generation")


@dataclass
class Readings:
    """What was measured of one version."""

    firsts: list[Timing] = field(default_factory=list)
    """Of each turn, the mean time until the first token of its LONE requests."""
    bursts: list[Timing] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """One version."""

    version: str
    first_token_ms: Interval
    tokens_per_second: Interval


def main() -> None:
    """Measure, print the table, end with a line of JSON."""
    parser = report.parser(__doc__, repeats=15)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the version to compare with")
    given = parser.parse_args()
    checkouts = {"before": given.before, "now": project_root()}
    readings = {version: Readings() for version in checkouts}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack, Progress(transient=True) as progress:
        task = progress.add_task("starting", total=given.repeats + 1)
        urls = {
            version: stack.enter_context(_served(checkout, Path(name) / version))
            for version, checkout in checkouts.items()
        }
        progress.update(task, description="measuring")
        for turn in range(given.repeats + 1):
            for version in list(urls)[:: -1 if turn % 2 else 1]:
                # The first turn warms up.
                asyncio.run(_ask(urls[version], turn, readings[version] if turn else Readings()))
            progress.advance(task)
    _report(readings, given.json)


def _served(checkout: Path, directory: Path) -> Any:
    directory.mkdir()
    return serving(read_config(checkout / "serve_config.yaml", directory), directory, checkout=checkout)


async def _ask(url: str, turn: int, into: Readings) -> None:
    began = time.perf_counter()
    lone = [await stream(url, PATH, _body(1000 * turn + number, 1)) for number in range(LONE)]
    into.firsts.append(Timing(began, sum(times.first_token_s for times in lone) / LONE))
    bodies = [_body(1000 * turn + LONE + number, OUTPUT_TOKENS) for number in range(STREAMS)]
    began = time.perf_counter()
    await streams(url, PATH, bodies, None, clients=STREAMS)
    into.bursts.append(Timing(began, time.perf_counter() - began))


def _body(number: int, tokens: int) -> Mapping[str, Any]:
    """A prompt that neither version has seen, the same for both."""
    prompt = random_tokens(PROMPT_TOKENS, number, VOCABULARY)
    adapter = ADAPTERS[number % len(ADAPTERS)]
    return {"model": adapter, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}


def _report(readings: Mapping[str, Readings], file: Path | None) -> None:
    rows = [
        Row(
            version,
            of_values([1000 * timing.seconds for timing in of.firsts]),
            of_rates(of.bursts, STREAMS * OUTPUT_TOKENS),
        )
        for version, of in readings.items()
    ]
    columns = ("version", "first token, ms", f"{STREAMS} streams, tokens/s")
    shown = [(row.version, row.first_token_ms.text(1), row.tokens_per_second.text()) for row in rows]
    report.table("Named adapters over HTTP, two versions in turns; medians with 95 % intervals", columns, shown)
    before, now = readings["before"], readings["now"]
    checks = [
        Check("speed of the first token, now / before", of_speedup(now.firsts, before.firsts), 1.0),
        Check("tokens/s, now / before", of_speedup(now.bursts, before.bursts), 1.0),
    ]
    report.show_checks(checks)
    report.finish("versions", file, results=rows, checks=report.checks_json(checks))


if __name__ == "__main__":
    main()
